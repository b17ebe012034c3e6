{{/* The pools of the services. */}}

{{/* The file of tunings of a service: TOML, a table for each pool. Takes the root and `component`. */}}
{{- define "selvage.poolFile" -}}
{{- range $name, $pool := (get .root.Values .component).pools }}
[{{ $name }}]
{{- range $key, $value := $pool }}
{{- if not (and (eq $key "ceiling") (eq (int64 $value) 0)) }}
{{ snakecase $key }} = {{ int64 $value }}
{{- end }}
{{- end }}
{{ end }}
{{- end }}

{{/* The longest statement of a service's pools, in milliseconds: what the role itself allows. Takes the root and `component`. */}}
{{- define "selvage.longestStatementMs" -}}
{{- $longest := 0 -}}
{{- range (get .root.Values .component).pools -}}
{{- $longest = max $longest (int64 .statementTimeoutMs) -}}
{{- end -}}
{{ $longest }}
{{- end }}
