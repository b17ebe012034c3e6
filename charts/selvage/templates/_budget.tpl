{{/* The sums of connections, as `selvage budget check` does them and in its words. tests/whole/chart compares the two. */}}

{{/* A service as the sums see it, as YAML. Takes the root and `component`. */}}
{{- define "selvage.client" -}}
{{- $values := get .root.Values .component -}}
{{- $settings := include "selvage.settings" . | fromYaml -}}
{{- $limit := 0 -}}
{{- $floor := 0 -}}
{{- $ceiling := 0 -}}
{{- range $name, $pool := $values.pools -}}
{{- $limit = add $limit (int64 $pool.limit) -}}
{{- $floor = add $floor (int64 $pool.floor) -}}
{{- $ceiling = add $ceiling (int64 ($pool.ceiling | default $pool.limit)) -}}
{{- end -}}
{{- $most := $values.maxReplicas | default (add (int64 $values.replicas) 1) | int64 }}
{{- /* Another autoscaler than our operator counts no connections: it may have as many pods as it is said here that there may be. */}}
{{- $isOthers := and (eq $values.scaledBy "autoscaler") (not .root.Values.budget.withOperator) (ne (int64 $values.maxReplicas) 0) }}
name: {{ .component }}
replicas: {{ ternary $most (int64 $values.replicas) $isOthers }}
most: {{ $most }}
surge: {{ ternary 0 (int64 $settings.strategy.maxSurge) (eq $settings.strategy.type "Recreate") }}
limit: {{ $limit }}
floor: {{ $floor }}
ceiling: {{ $ceiling }}
{{- end }}

{{/* What one service may open without an operator: (replicas + surge) × limit. Takes a client. */}}
{{- define "selvage.fixed" -}}
{{ mul (add (int64 .replicas) (int64 .surge)) (int64 .limit) }}
{{- end }}

{{/* What one service opens with an operator: (most replicas + surge + a terminating generation) × floor. Takes a client. */}}
{{- define "selvage.floors" -}}
{{ mul (add (int64 .most) (int64 .surge) (int64 .most)) (int64 .floor) }}
{{- end }}

{{/* The most that a role may open. With an operator, who grants up to a pod's ceiling and never more than the budget, that is the smaller
     of both. Takes the root and `component`. */}}
{{- define "selvage.roleLimit" -}}
{{- $client := include "selvage.client" . | fromYaml -}}
{{- if .root.Values.budget.withOperator -}}
{{- $server := get .root.Values.budget.servers (get .root.Values .component).database.server -}}
{{- $most := mul (add (int64 $client.most) (int64 $client.surge) (int64 $client.most)) (int64 $client.ceiling) -}}
{{ min $most (include "selvage.budget" $server | int64) }}
{{- else -}}
{{ include "selvage.fixed" $client }}
{{- end -}}
{{- end }}

{{/* What a server has for the services. Takes a server. */}}
{{- define "selvage.budget" -}}
{{ max 0 (sub (int64 .maxConnections) (add (int64 .reserved) (int64 .reserve) (int64 .others))) }}
{{- end }}

{{/* A sum's last line. Takes `server`, `sum` and `width`. */}}
{{- define "selvage.verdict" -}}
{{- $budget := include "selvage.budget" .server | int64 -}}
{{- if le .sum $budget -}}
{{ printf "  %-*s  %d ≤ %d: fits" .width "sum" .sum $budget }}
{{- else -}}
{{- $over := sub .sum $budget -}}
{{ printf "  %-*s  %d > %d: does NOT fit, %d too many: lower limits or replicas, or raise max_connections to %d" .width "sum" .sum $budget $over (add (int64 .server.maxConnections) $over) }}
{{- end -}}
{{- end }}

{{/* Both sums of a server, as YAML: `words`, as one would do them on paper, `fixed`, `floors` and `budget`. Takes the root, `name` of the
     server and the `server`. */}}
{{- define "selvage.sums" -}}
{{- $root := .root -}}
{{- $clients := list -}}
{{- $width := 0 -}}
{{- range $component := include "selvage.stored" . | fromYamlArray -}}
{{- if eq (get $root.Values $component).database.server $.name -}}
{{- $clients = append $clients (include "selvage.client" (dict "root" $root "component" $component) | fromYaml) -}}
{{- $width = max $width (len $component) -}}
{{- end -}}
{{- end -}}
{{- $width = int $width -}}
{{- $server := .server -}}
{{- $fixed := 0 -}}
{{- $floors := 0 -}}
{{- $lines := list (printf "budget: %d max_connections − %d reserved − %d in reserve − %d for others = %s" (int64 $server.maxConnections) (int64 $server.reserved) (int64 $server.reserve) (int64 $server.others) (include "selvage.budget" $server)) -}}
{{- $lines = concat $lines (list "" "without an operator: (replicas + surge) × limit") -}}
{{- range $clients -}}
{{- $own := include "selvage.fixed" . | int64 -}}
{{- $fixed = add $fixed $own -}}
{{- $lines = append $lines (printf "  %-*s  (%d + %d) × %d = %d" $width .name (int64 .replicas) (int64 .surge) (int64 .limit) $own) -}}
{{- end -}}
{{- $lines = append $lines (include "selvage.verdict" (dict "server" $server "sum" $fixed "width" $width)) -}}
{{- $lines = concat $lines (list "" "with an operator: (most replicas + surge + a terminating generation) × floor") -}}
{{- range $clients -}}
{{- $own := include "selvage.floors" . | int64 -}}
{{- $floors = add $floors $own -}}
{{- $lines = append $lines (printf "  %-*s  (%d + %d + %d) × %d = %d" $width .name (int64 .most) (int64 .surge) (int64 .most) (int64 .floor) $own) -}}
{{- end -}}
{{- $lines = append $lines (include "selvage.verdict" (dict "server" $server "sum" $floors "width" $width)) -}}
{{- dict "words" (printf "%s\n" (join "\n" $lines)) "fixed" $fixed "floors" $floors "budget" (include "selvage.budget" $server | int64) | toYaml -}}
{{- end }}

{{/* Fails where the sum that counts doesn't fit. */}}
{{- define "selvage.checkBudget" -}}
{{- $withOperator := .Values.budget.withOperator -}}
{{- range $name, $server := .Values.budget.servers -}}
{{- $sums := include "selvage.sums" (dict "root" $ "name" $name "server" $server) | fromYaml -}}
{{- $sum := ternary $sums.floors $sums.fixed $withOperator | int64 -}}
{{- if gt $sum (int64 $sums.budget) -}}
{{- $which := ternary "the floors don't fit: not even an operator could keep within the budget" "the pools don't fit without an operator" $withOperator -}}
{{- fail (printf "\n\n%s, at the server '%s' of budget.servers:\n\n%s" $which $name $sums.words) -}}
{{- end -}}
{{- end -}}
{{- end }}
