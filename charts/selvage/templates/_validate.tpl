{{/* What makes no sense although each value for itself does. Each refusal says what to change. */}}

{{/* All of them, once for the whole chart. */}}
{{- define "selvage.validate" -}}
{{- include "selvage.checkPools" . -}}
{{- include "selvage.checkReplicas" . -}}
{{- include "selvage.checkDatabase" . -}}
{{- include "selvage.checkPoolers" . -}}
{{- include "selvage.checkWays" . -}}
{{- include "selvage.checkOperator" . -}}
{{- include "selvage.checkBudget" . -}}
{{- end }}

{{/* floor ≤ limit ≤ ceiling, and a wait and a statement within what callers have. */}}
{{- define "selvage.checkPools" -}}
{{- $services := include "selvage.services" . | fromYaml -}}
{{- range $component := include "selvage.stored" . | fromYamlArray -}}
{{- range $name, $pool := (get $.Values $component).pools -}}
{{- $floor := int64 $pool.floor -}}
{{- $limit := int64 $pool.limit -}}
{{- $ceiling := $pool.ceiling | default $limit | int64 -}}
{{- if or (gt $floor $limit) (gt $limit $ceiling) -}}
{{- fail (printf "%s.pools.%s: floor ≤ limit ≤ ceiling must hold, and %d ≤ %d ≤ %d doesn't" $component $name $floor $limit $ceiling) -}}
{{- end -}}
{{- $whole := add (int64 $pool.maxWaitMs) (int64 $pool.statementTimeoutMs) -}}
{{- if and (eq $name (get $services $component).main) (ge $whole 5000) -}}
{{- fail (printf "%s.pools.%s: callers need an answer within 5000 ms, and maxWaitMs %d + statementTimeoutMs %d = %d is not less: shorten one of them" $component $name (int64 $pool.maxWaitMs) (int64 $pool.statementTimeoutMs) $whole) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Who owns the number of replicas, and that a roll-out can go on at all. */}}
{{- define "selvage.checkReplicas" -}}
{{- range $component, $facts := include "selvage.services" . | fromYaml -}}
{{- $own := get $.Values $component -}}
{{- $settings := include "selvage.settings" (dict "root" $ "component" $component) | fromYaml -}}
{{- if and (ne $own.scaledBy "chart") (not $own.replicasHandedOver) -}}
{{- $what := ternary "leaves spec.replicas out. If it was rendered before, Kubernetes would set 1 where Helm takes it out, however many pods there are" "leaves the Deployment out. Helm would delete it unless it is annotated to be kept" (eq $own.scaledBy "autoscaler") -}}
{{- fail (printf "%s.scaledBy: %s %s. On a new installation set %s.replicasHandedOver: true. On a running one do first what README.md says under 'Hand the replicas over', then set it" $component $own.scaledBy $what $component) -}}
{{- end -}}
{{- $most := int64 $own.maxReplicas -}}
{{- if and $most (lt $most (int64 $own.replicas)) -}}
{{- fail (printf "%s.maxReplicas: %d is below replicas: %d" $component $most (int64 $own.replicas)) -}}
{{- end -}}
{{- if and (eq $settings.strategy.type "RollingUpdate") (eq (toString $settings.strategy.maxSurge) "0") (has (toString $settings.strategy.maxUnavailable) (list "0" "0%")) -}}
{{- fail (printf "%s.strategy: with maxSurge 0 and maxUnavailable 0 no pod could ever be replaced: raise one of them" $component) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* That each database can be found. */}}
{{- define "selvage.checkDatabase" -}}
{{- $values := .Values.database -}}
{{- range $component := include "selvage.stored" . | fromYamlArray -}}
{{- $own := (get $.Values $component).database -}}
{{- if not (hasKey $.Values.budget.servers $own.server) -}}
{{- fail (printf "%s.database.server: budget.servers has no '%s'; there are %s" $component $own.server (keys $.Values.budget.servers | sortAlpha | join ", ")) -}}
{{- end -}}
{{- if eq $values.kind "existing" -}}
{{- $keys := $values.secretKeys -}}
{{- if and (not $keys.url) (not $keys.host) (not ($own.host | default $values.host)) -}}
{{- fail (printf "%s.database: nothing says where it is: set database.host, %s.database.host, or one of database.secretKeys.url and database.secretKeys.host" $component $component) -}}
{{- end -}}
{{- if and (not $keys.url) (not $keys.password) -}}
{{- fail "database.secretKeys.password: without url it must name the key with the password" -}}
{{- end -}}
{{- else if ne $own.server "main" -}}
{{- fail (printf "%s.database.server: with database.kind %s there is one server, main" $component $values.kind) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* A pooler in the way: only one that gives each client a session of its own, and whose size is in the sum. */}}
{{- define "selvage.checkPoolers" -}}
{{- range $name, $server := .Values.budget.servers -}}
{{- $pooler := $server.pooler | default "none" -}}
{{- if has $pooler (list "transaction" "statement") -}}
{{- fail (printf "budget.servers.%s.pooler: with pool_mode = %s nothing works: statements are prepared by name in one session and asked for in another, and what is set for a session is lost. Use pool_mode = session and declare its size, or no pooler: the services' own pools do what it would" $name $pooler) -}}
{{- end -}}
{{- if eq $pooler "session" -}}
{{- $size := $server.poolSize | default 0 | int64 -}}
{{- $sessions := 0 -}}
{{- range $component := include "selvage.stored" . | fromYamlArray -}}
{{- if eq (get $.Values $component).database.server $name -}}
{{- $client := include "selvage.client" (dict "root" $ "component" $component) | fromYaml -}}
{{- $fixed := include "selvage.fixed" $client | int64 -}}
{{- $sessions = add $sessions $size -}}
{{- if gt $fixed $size -}}
{{- fail (printf "budget.servers.%s.poolSize: %s opens up to (%d + %d) × %d = %d connections, and the pooler passes on %d: the others would wait in it, where nobody measures. Raise default_pool_size, and poolSize with it, to %d" $name $component (int64 $client.replicas) (int64 $client.surge) (int64 $client.limit) $fixed $size $fixed) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $budget := include "selvage.budget" $server | int64 -}}
{{- if gt $sessions $budget -}}
{{- fail (printf "budget.servers.%s.poolSize: the pooler keeps up to %d sessions, %d for each service, and the budget is %d: lower it, or raise max_connections by %d" $name $sessions $size $budget (sub $sessions $budget)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* How people reach the pages. */}}
{{- define "selvage.checkWays" -}}
{{- if and .Values.ingress.enabled .Values.ingress.tls (not .Values.web.options.secureCookies) -}}
{{- fail "ingress.tls: people reach the shop by https, so set web.options.secureCookies: true, or their sessions could be sent in the clear" -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.parentRefs: name the gateway that the route belongs to" -}}
{{- end -}}
{{- if and .Values.samples.enabled (ne .Values.database.kind "playground") -}}
{{- fail "samples.enabled: sample products are for trying out, with database.kind: playground; import your own with 'selvage import'" -}}
{{- end -}}
{{- end }}

{{/* The operator, and whoever else would set what it sets. */}}
{{- define "selvage.checkOperator" -}}
{{- if .Values.operator.enabled -}}
{{- if not .Values.budget.withOperator -}}
{{- fail "operator.enabled: the operator shares out what is above the floors, so set budget.withOperator: true, for the sum that counts then" -}}
{{- end -}}
{{- range $server, $budget := .Values.budget.servers -}}
{{- if not (include "selvage.probeSecret" (dict "root" $ "server" $server)) -}}
{{- fail (printf "budget.servers.%s.probe.secret: the operator has to see which sessions the server has. Without that it grants pods their floors and no more, and what pods held that are gone is never free again. Name a Secret with the address of a role that has pg_monitor" $server) -}}
{{- end -}}
{{- end -}}
{{- range $component := include "selvage.stored" . | fromYamlArray -}}
{{- $own := get $.Values $component -}}
{{- if and (eq $.Values.operator.mode "Enforce") (ne $own.scaledBy "autoscaler") -}}
{{- fail (printf "operator.mode: Enforce sets the replicas of %s, and so does the chart with %s.scaledBy: %s. Set %s.scaledBy: autoscaler as README.md says under 'Hand the replicas over', or operator.mode: Observe, which only says what it would do" $component $component $own.scaledBy $component) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}
