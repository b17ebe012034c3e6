{{/* Names and labels. */}}

{{/* What is in front of all names. The longest name is that of a Job, <fullname>-catalogue-migrate-<8 letters>: 63 - 27 = 36. */}}
{{- define "selvage.fullname" -}}
{{- $own := default .Chart.Name .Values.nameOverride -}}
{{- $name := .Values.fullnameOverride -}}
{{- if not $name -}}
{{- $name = ternary .Release.Name (printf "%s-%s" .Release.Name $own) (contains $own .Release.Name) -}}
{{- end -}}
{{- trunc 36 $name | trimSuffix "-" -}}
{{- end }}

{{/* The labels by which pods are selected. They never change: selectors can't. Takes the root and `component`. */}}
{{- define "selvage.selectorLabels" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* The labels of an object. Takes the root and `component`. */}}
{{- define "selvage.labels" -}}
{{ include "selvage.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: {{ .root.Chart.Name }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* An object's metadata. Takes the root, `component`, `name`, and `annotations` if there are any. */}}
{{- define "selvage.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "selvage.labels" . | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The name of a component's Deployment and Service, and of what belongs to it. */}}
{{- define "selvage.name" -}}
{{ include "selvage.fullname" .root }}-{{ .component }}
{{- end }}

{{/* The name of the ServiceAccount of a component. Takes the root, `component` and its `settings`. */}}
{{- define "selvage.serviceAccountName" -}}
{{- $account := .settings.serviceAccount -}}
{{- if $account.name -}}
{{ $account.name }}
{{- else -}}
{{ ternary (include "selvage.name" .) "default" $account.create }}
{{- end -}}
{{- end }}
