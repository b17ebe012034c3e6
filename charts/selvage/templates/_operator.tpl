{{/* The operator, and what pods know of it. */}}

{{/* What its binary is. Takes the root itself. */}}
{{- define "selvage.operatorFacts" -}}
port: 50060
metricsPort: 9469
{{- end }}

{{/* The ConnectionBudget of a server. Takes the root and `server`. */}}
{{- define "selvage.budgetName" -}}
{{ include "selvage.fullname" .root }}-{{ .server }}
{{- end }}

{{/* The name of what belongs to no namespace. Takes the root and `component`. */}}
{{- define "selvage.clusterName" -}}
{{ printf "%s-%s" .root.Release.Namespace (include "selvage.name" .) }}
{{- end }}

{{/* The metadata of what belongs to no namespace. Takes the root and `component`. */}}
{{- define "selvage.clusterMetadata" -}}
name: {{ include "selvage.clusterName" . }}
labels:
  {{- include "selvage.labels" . | nindent 2 }}
{{- with .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Where the operator finds the address of a server, as YAML; nothing if it isn't to look at it. Takes the root and `server`. */}}
{{- define "selvage.probeSecret" -}}
{{- $probe := get (get .root.Values.budget.servers .server) "probe" | default dict -}}
{{- if eq .root.Values.database.kind "playground" -}}
url: {{ printf "postgres://operator@%s-postgres:5432/postgres?sslmode=disable" (include "selvage.fullname" .root) | quote }}
passwordSecretRef:
  name: {{ include "selvage.keysPrefix" .root }}-postgres
  key: operator
{{- else if $probe.secret -}}
urlSecretRef:
  name: {{ $probe.secret }}
  key: {{ $probe.key | default "url" }}
{{- end -}}
{{- end }}

{{/* The Secrets that it reads. Takes the root itself. */}}
{{- define "selvage.operatorSecrets" -}}
{{- $names := list -}}
{{- range $server, $_ := .Values.budget.servers -}}
{{- $probe := include "selvage.probeSecret" (dict "root" $ "server" $server) | fromYaml -}}
{{- range list (get $probe "urlSecretRef") (get $probe "passwordSecretRef") -}}
{{- with . -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{ $names | uniq | sortAlpha | toYaml }}
{{- end }}

{{/* The operator's own variables. Takes the root, `facts` and `settings`. */}}
{{- define "selvage.operatorEnv" -}}
{{- $listen := ternary "[::]" .root.Values.listenOn (eq .root.Values.listenOn "::") -}}
- name: SELVAGE_LISTEN
  value: {{ printf "%s:%v" $listen .facts.port | quote }}
- name: SELVAGE_METRICS_LISTEN
  value: {{ printf "%s:%v" $listen .facts.metricsPort | quote }}
- name: SELVAGE_LAME_DUCK_MS
  value: {{ int64 .root.Values.lameDuckMs | quote }}
- name: SELVAGE_LEASE
  value: {{ .name }}
- name: SELVAGE_NAMESPACE
  value: {{ .root.Release.Namespace }}
- name: SELVAGE_POD_ADDRESS
  valueFrom:
    fieldRef:
      apiVersion: v1
      fieldPath: status.podIP
{{ include "selvage.podEnv" . }}
{{- with .root.Values.shop.logFilter }}
- name: RUST_LOG
  value: {{ quote . }}
{{- end }}
{{- include "selvage.telemetryEnv" .root }}
{{- end }}

{{/* What the pod of a service is told of the operator. Takes the root, `component` and `settings`. */}}
{{- define "selvage.brokerEnv" -}}
{{- if .root.Values.operator.enabled }}
- name: SELVAGE_BROKER
  value: {{ printf "%s:%v" (include "selvage.name" (dict "root" .root "component" "operator")) (include "selvage.operatorFacts" .root | fromYaml).port | quote }}
- name: SELVAGE_BROKER_TOKEN_FILE
  value: /etc/selvage/broker/token
- name: SELVAGE_BROKER_BUDGET
  value: {{ include "selvage.budgetName" (dict "root" .root "server" (get .root.Values .component).database.server) }}
{{ include "selvage.podEnv" . }}
{{- end }}
{{- end }}

{{/* What the pages are told of the operator. Takes the root. */}}
{{- define "selvage.decisionsEnv" -}}
{{- if .Values.operator.enabled }}
- name: SELVAGE_OPERATOR
  value: {{ printf "%s:%v" (include "selvage.name" (dict "root" . "component" "operator")) (include "selvage.operatorFacts" . | fromYaml).port | quote }}
- name: SELVAGE_OPERATOR_TOKEN_FILE
  value: /etc/selvage/broker/token
- name: SELVAGE_OPERATOR_NAMESPACE
  value: {{ .Release.Namespace }}
{{- end }}
{{- end }}

{{/* Which pod it is, for what the operator and its clients say. */}}
{{- define "selvage.podEnv" -}}
- name: SELVAGE_POD_NAME
  valueFrom:
    fieldRef:
      apiVersion: v1
      fieldPath: metadata.name
- name: SELVAGE_POD_NAMESPACE
  valueFrom:
    fieldRef:
      apiVersion: v1
      fieldPath: metadata.namespace
- name: SELVAGE_POD_UID
  valueFrom:
    fieldRef:
      apiVersion: v1
      fieldPath: metadata.uid
{{- end }}

{{/* The token by which the operator knows a pod; it is for nobody else, and lasts an hour. */}}
{{- define "selvage.brokerVolume" -}}
- name: broker
  projected:
    defaultMode: 292
    sources:
      - serviceAccountToken:
          audience: selvage-operator
          expirationSeconds: 3600
          path: token
{{- end }}
