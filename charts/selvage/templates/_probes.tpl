{{/* Probes. */}}

{{/* The three probes of a service. Takes `facts` and `settings`. What is ready stays so while its pools are full: health never
     takes a connection. */}}
{{- define "selvage.probes" -}}
{{- $asked := dict "startup" "live" "readiness" (.facts.grpc | default "") "liveness" "live" -}}
{{- $paths := dict "startup" "/livez" "readiness" "/readyz" "liveness" "/livez" -}}
{{- $facts := .facts -}}
{{- $probes := .settings.probes -}}
{{- range $name := list "startup" "readiness" "liveness" }}
{{- $probe := get $probes $name }}
{{ $name }}Probe:
  {{- if $facts.grpc }}
  grpc:
    port: {{ $facts.port }}
    service: {{ get $asked $name }}
  {{- else }}
  httpGet:
    path: {{ get $paths $name }}
    port: metrics
    scheme: HTTP
  {{- end }}
  periodSeconds: {{ int64 $probe.periodSeconds }}
  timeoutSeconds: {{ int64 $probe.timeoutSeconds }}
  failureThreshold: {{ int64 $probe.failureThreshold }}
  successThreshold: 1
{{- end }}
{{- end }}
