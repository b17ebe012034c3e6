{{/* The variables of the services. */}}

{{/* A value as a variable's text: 100000 and not 1e+05. */}}
{{- define "selvage.text" -}}
{{- if kindIs "float64" . -}}
{{ ternary (int64 . | toString) (toString .) (eq (floor .) .) }}
{{- else -}}
{{ toString . }}
{{- end -}}
{{- end }}

{{/* What a service is told of itself. Takes the root, `component`, `facts` and `settings`. */}}
{{- define "selvage.serviceEnv" -}}
{{- $root := .root -}}
{{- $listen := ternary "[::]" .root.Values.listenOn (eq .root.Values.listenOn "::") -}}
- name: SELVAGE_LISTEN
  value: {{ printf "%s:%v" $listen .facts.port | quote }}
- name: SELVAGE_METRICS_LISTEN
  value: {{ printf "%s:%v" $listen .facts.metricsPort | quote }}
- name: SELVAGE_LAME_DUCK_MS
  value: {{ int64 .root.Values.lameDuckMs | quote }}
{{- if ne .component "checkout" }}
- name: SELVAGE_CURRENCY
  value: {{ .root.Values.shop.currency }}
{{- end }}
{{- if .facts.grpc }}
- name: SELVAGE_FAULTS
  value: {{ .root.Values.shop.faults | quote }}
- name: SELVAGE_TRUSTED_KEYS
  value: /etc/selvage/keys/trusted.keys
- name: SELVAGE_POOL_FILE
  value: /etc/selvage/pools/pools.toml
{{- end }}
{{- if .facts.key }}
- name: SELVAGE_ISSUER_KEY
  value: /etc/selvage/keys/issuer.key
{{- end }}
{{- range .facts.calls }}
- name: SELVAGE_{{ upper . }}
  value: {{ printf "%s:%v" (include "selvage.name" (dict "root" $root "component" .)) (get (include "selvage.services" $root | fromYaml) .).port | quote }}
{{- end }}
{{- range $name, $value := .settings.options }}
- name: SELVAGE_{{ snakecase $name | upper }}
  value: {{ include "selvage.text" $value | quote }}
{{- end }}
{{- with .root.Values.shop.logFilter }}
- name: RUST_LOG
  value: {{ quote . }}
{{- end }}
{{- if eq .component "catalogue" }}
- name: SELVAGE_INDEX
  value: /var/lib/selvage/index
{{- end }}
{{- if eq .component "checkout" }}
{{- include "selvage.mailEnv" .settings.mail }}
{{- end }}
{{- end }}

{{/* Where mails go. Takes checkout's `mail`. */}}
{{- define "selvage.mailEnv" -}}
{{- if .secret }}
- name: SELVAGE_SMTP_URL
  valueFrom:
    secretKeyRef:
      name: {{ .secret }}
      key: {{ .key }}
{{- else }}
- name: SELVAGE_MAIL_FOLDER
  value: /var/lib/selvage/mail
{{- end }}
{{- end }}

{{/* What says where traces and metrics go. Takes the root. */}}
{{- define "selvage.telemetryEnv" -}}
{{- $otlp := .Values.telemetry.otlp -}}
{{- $endpoint := $otlp.endpoint -}}
{{- $protocol := $otlp.protocol -}}
{{- if and .Values.jaeger.enabled (not $endpoint) -}}
{{- $endpoint = printf "http://%s-jaeger:4317" (include "selvage.fullname" .) -}}
{{- $protocol = "grpc" -}}
{{- end -}}
{{- if $endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ $endpoint | quote }}
- name: OTEL_EXPORTER_OTLP_PROTOCOL
  value: {{ $protocol }}
- name: OTEL_METRICS_EXPORTER
  value: {{ ternary "otlp,prometheus" "prometheus" $otlp.metrics }}
- name: OTEL_TRACES_SAMPLER
  value: parentbased_traceidratio
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ toString .Values.telemetry.sampleRatio | quote }}
- name: POD_NAME
  valueFrom:
    fieldRef:
      apiVersion: v1
      fieldPath: metadata.name
- name: NODE_NAME
  valueFrom:
    fieldRef:
      apiVersion: v1
      fieldPath: spec.nodeName
- name: OTEL_RESOURCE_ATTRIBUTES
  value: k8s.namespace.name={{ .Release.Namespace }},k8s.pod.name=$(POD_NAME),k8s.node.name=$(NODE_NAME)
{{- end }}
{{- end }}

{{/* The chart's own variables without those that the user sets, and then the user's: a name stands once in a list, or a server-side
     apply refuses it. Nothing if there are none. Takes `own` and `settings`. */}}
{{- define "selvage.env" -}}
{{- $names := list -}}
{{- range .settings.extraEnv -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- $all := list -}}
{{- range .own -}}
{{- if not (has .name $names) -}}
{{- $all = append $all . -}}
{{- end -}}
{{- end -}}
{{- with concat $all .settings.extraEnv }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
