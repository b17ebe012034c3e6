{{/* What all pods have in common. */}}

{{/* A pod's security context. Takes the root and `settings`; `user` if it isn't that of the shop's images. */}}
{{- define "selvage.podSecurityContext" -}}
{{- $user := .user | default 65532 -}}
{{- $own := dict "runAsNonRoot" true "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- if not .root.Values.openshift -}}
{{- $own = merge $own (dict "runAsUser" $user "runAsGroup" $user "fsGroup" $user "fsGroupChangePolicy" "OnRootMismatch") -}}
{{- end -}}
{{ toYaml (mustMergeOverwrite $own (deepCopy .settings.podSecurityContext)) }}
{{- end }}

{{/* A container's security context. Takes `settings`. */}}
{{- define "selvage.securityContext" -}}
{{- $own := dict "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true "privileged" false -}}
{{- $own = merge $own (dict "capabilities" (dict "drop" (list "ALL"))) -}}
{{ toYaml (mustMergeOverwrite $own (deepCopy .settings.securityContext)) }}
{{- end }}

{{/* A pod template's metadata. Takes the root, `component`, `settings`, and `annotations` and `labels` of its own. */}}
{{- define "selvage.podMetadata" -}}
labels:
  {{- include "selvage.selectorLabels" . | nindent 2 }}
  {{- with merge (dict) (.labels | default dict) .settings.podLabels .root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (.annotations | default dict) .settings.podAnnotations .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Where a pod runs. Takes the root, `component` and `settings`; `spreads` if it has replicas. */}}
{{- define "selvage.scheduling" -}}
{{- $settings := .settings -}}
{{- with $settings.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $settings.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
tolerations:
  {{- range list "not-ready" "unreachable" }}
  - key: node.kubernetes.io/{{ . }}
    operator: Exists
    effect: NoExecute
    tolerationSeconds: {{ int64 $settings.evictAfterSeconds }}
  {{- end }}
  {{- with $settings.tolerations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $settings.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $settings.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- if .spreads }}
{{- include "selvage.topologySpread" . }}
{{- end }}
{{- end }}

{{/* How replicas spread. Those of one ReplicaSet spread among themselves, so that a roll-out doesn't count the old ones. */}}
{{- define "selvage.topologySpread" -}}
{{- $settings := .settings -}}
{{- $wanted := dict "kubernetes.io/hostname" $settings.topologySpread.hosts "topology.kubernetes.io/zone" $settings.topologySpread.zones -}}
{{- $labels := include "selvage.selectorLabels" . -}}
{{- if $settings.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml $settings.topologySpreadConstraints | nindent 2 }}
{{- else if or (ne $settings.topologySpread.hosts "none") (ne $settings.topologySpread.zones "none") }}
topologySpreadConstraints:
  {{- range $key, $how := $wanted }}
  {{- if ne $how "none" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: {{ $how }}
    labelSelector:
      matchLabels:
        {{- $labels | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Fields of a pod's spec whose defaults are written out, so that nothing differs from what the API server keeps. */}}
{{- define "selvage.podDefaults" -}}
dnsPolicy: ClusterFirst
schedulerName: default-scheduler
# Without it Kubernetes sets variables like SELVAGE_WEB_PORT, which look like options of ours.
enableServiceLinks: false
{{- end }}

{{/* A pod's extra parts, each a list below its key. Takes `settings`, and `volumes` and `init` of its own, as YAML. */}}
{{- define "selvage.volumes" -}}
{{- $volumes := concat (.volumes | default list) .settings.extraVolumes -}}
{{- with $volumes }}
volumes:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
