{{/* The pod of a service. Its parts take the root, `component`, `facts` and `settings`. */}}

{{- define "selvage.servicePodMetadata" -}}
{{- $annotations := dict -}}
{{- if .facts.grpc -}}
{{- $annotations = dict "checksum/pools" (include "selvage.poolFile" . | sha256sum) -}}
{{- end -}}
{{- include "selvage.podMetadata" (merge (dict "annotations" $annotations) .) }}
{{- end }}

{{- define "selvage.servicePod" -}}
serviceAccountName: {{ include "selvage.serviceAccountName" . }}
automountServiceAccountToken: false
terminationGracePeriodSeconds: {{ include "selvage.gracePeriodSeconds" .root }}
restartPolicy: Always
{{ include "selvage.podDefaults" . }}
securityContext:
  {{- include "selvage.podSecurityContext" . | nindent 2 }}
{{- include "selvage.pullSecrets" .root }}
{{- include "selvage.scheduling" (merge (dict "spreads" true) .) }}
{{- with .settings.extraInitContainers }}
initContainers:
  {{- toYaml . | nindent 2 }}
{{- end }}
containers:
  - name: {{ .component }}
    {{- include "selvage.serviceContainer" . | nindent 4 }}
  {{- with .settings.extraContainers }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- include "selvage.volumes" (dict "settings" .settings "volumes" (include "selvage.serviceVolumes" . | fromYamlArray)) }}
{{- end }}

{{- define "selvage.serviceContainer" -}}
image: {{ include "selvage.image" (dict "root" .root "image" .component) }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: [serve]
{{- include "selvage.env" (dict "settings" .settings "own" (include "selvage.serviceEnvs" . | fromYamlArray)) }}
{{- with .settings.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  - name: {{ ternary "grpc" "http" (hasKey .facts "grpc") }}
    containerPort: {{ .facts.port }}
    protocol: TCP
  - name: metrics
    containerPort: {{ .facts.metricsPort }}
    protocol: TCP
{{- include "selvage.probes" . }}
resources:
  {{- toYaml .settings.resources | nindent 2 }}
securityContext:
  {{- include "selvage.securityContext" . | nindent 2 }}
terminationMessagePath: /dev/termination-log
# The last words of a process that can't start are in its log.
terminationMessagePolicy: FallbackToLogsOnError
volumeMounts:
  {{- include "selvage.serviceMounts" . | nindent 2 }}
{{- end }}

{{- define "selvage.serviceVolumes" -}}
{{ include "selvage.keysVolume" . }}
{{- if .facts.grpc }}
- name: pools
  configMap:
    name: {{ include "selvage.name" . }}-pools
    defaultMode: 292
{{- include "selvage.databaseVolumes" (dict "root" .root "account" (include "selvage.account" . | fromYaml)) }}
{{- end }}
{{- if .root.Values.operator.enabled }}
{{ include "selvage.brokerVolume" . }}
{{- end }}
{{- if eq .component "catalogue" }}
- name: index
  emptyDir:
    sizeLimit: {{ .settings.index.folderSize }}
{{- end }}
{{- if and (eq .component "checkout") (not .settings.mail.secret) }}
- name: mail
  emptyDir:
    sizeLimit: {{ .settings.mail.folderSize }}
{{- end }}
{{- end }}

{{- define "selvage.serviceMounts" -}}
- name: keys
  mountPath: /etc/selvage/keys
  readOnly: true
{{- if .facts.grpc }}
- name: pools
  mountPath: /etc/selvage/pools
  readOnly: true
{{- include "selvage.databaseMounts" (dict "root" .root "account" (include "selvage.account" . | fromYaml)) }}
{{- end }}
{{- if .root.Values.operator.enabled }}
- name: broker
  mountPath: /etc/selvage/broker
  readOnly: true
{{- end }}
{{- if eq .component "catalogue" }}
- name: index
  mountPath: /var/lib/selvage/index
{{- end }}
{{- if and (eq .component "checkout") (not .settings.mail.secret) }}
- name: mail
  mountPath: /var/lib/selvage/mail
{{- end }}
{{- with .settings.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "selvage.serviceEnvs" -}}
{{ include "selvage.serviceEnv" . }}
{{- if .facts.grpc }}
{{- include "selvage.databaseEnv" (dict "root" .root "account" (include "selvage.account" . | fromYaml)) }}
{{- include "selvage.brokerEnv" . }}
{{- else }}
{{- include "selvage.decisionsEnv" .root }}
{{- end }}
{{- include "selvage.telemetryEnv" .root }}
{{- end }}
