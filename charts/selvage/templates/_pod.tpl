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
{{- with include "selvage.affinity" . | fromYaml }}
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

{{/* Affinity, and with it how replicas spread over zones if that is possible. It isn't a constraint of topology spread: the scheduler
     weighs none of a pod's soft constraints on a node that lacks the label of one, so that where nodes have no zones, hosts
     wouldn't count either. Takes what `selvage.scheduling` takes. */}}
{{- define "selvage.affinity" -}}
{{- $own := dict -}}
{{- if and .spreads (eq .settings.topologySpread.zones "ScheduleAnyway") (not .settings.topologySpreadConstraints) -}}
{{- $selector := dict "matchLabels" (include "selvage.selectorLabels" . | fromYaml) -}}
{{- $term := dict "topologyKey" "topology.kubernetes.io/zone" "labelSelector" $selector -}}
{{- $preferred := dict "preferredDuringSchedulingIgnoredDuringExecution" (list (dict "weight" 100 "podAffinityTerm" $term)) -}}
{{- $own = dict "podAntiAffinity" $preferred -}}
{{- end -}}
{{ toYaml (mustMergeOverwrite $own (deepCopy .settings.affinity)) }}
{{- end }}

{{/* How replicas spread. Those of one ReplicaSet spread among themselves, so that a roll-out doesn't count the old ones. A node where
     they can't go, as it is drained or dead, isn't waited for. */}}
{{- define "selvage.topologySpread" -}}
{{- $settings := .settings -}}
{{- $spread := $settings.topologySpread -}}
{{- $wanted := dict -}}
{{- if ne $spread.hosts "none" -}}
{{- $_ := set $wanted "kubernetes.io/hostname" $spread.hosts -}}
{{- end -}}
{{- if eq $spread.zones "DoNotSchedule" -}}
{{- $_ := set $wanted "topology.kubernetes.io/zone" $spread.zones -}}
{{- end -}}
{{- $labels := include "selvage.selectorLabels" . -}}
{{- if $settings.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml $settings.topologySpreadConstraints | nindent 2 }}
{{- else if $wanted }}
topologySpreadConstraints:
  {{- range $key, $how := $wanted }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: {{ $how }}
    nodeTaintsPolicy: Honor
    labelSelector:
      matchLabels:
        {{- $labels | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
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
