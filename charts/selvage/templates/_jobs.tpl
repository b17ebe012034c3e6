{{/* Jobs. Each is named by a hash of what it does: one that is finished and says the same is left alone, and one that says
     something else is another Job. None is a hook: an installation that waits would wait for ever for what comes after it. */}}

{{/* A Job's spec. Takes the root, `component`, `image`, `args`, `env`, `volumes` and `mounts`; `account` for a ServiceAccount with a
     token. */}}
{{- define "selvage.jobSpec" -}}
{{- $settings := include "selvage.settings" (dict "root" .root "component" "jobs") | fromYaml -}}
{{- $it := merge (dict "settings" $settings) . -}}
backoffLimit: {{ int64 $settings.backoffLimit }}
completions: 1
parallelism: 1
completionMode: NonIndexed
suspend: false
template:
  metadata:
    {{- include "selvage.podMetadata" $it | nindent 4 }}
  spec:
    serviceAccountName: {{ .account | default (printf "%s-jobs" (include "selvage.fullname" .root)) }}
    automountServiceAccountToken: {{ not (empty .account) }}
    restartPolicy: OnFailure
    terminationGracePeriodSeconds: 30
    {{- include "selvage.podDefaults" . | nindent 4 }}
    securityContext:
      {{- include "selvage.podSecurityContext" $it | nindent 6 }}
    {{- include "selvage.pullSecrets" .root | indent 4 }}
    {{- include "selvage.scheduling" $it | nindent 4 }}
    {{- with $settings.extraInitContainers }}
    initContainers:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    containers:
      - name: job
        image: {{ include "selvage.image" (dict "root" .root "image" .image) }}
        imagePullPolicy: {{ .root.Values.image.pullPolicy }}
        args:
          {{- toYaml .args | nindent 10 }}
        {{- include "selvage.env" (dict "settings" $settings "own" (.env | default list)) | indent 8 }}
        {{- with $settings.extraEnvFrom }}
        envFrom:
          {{- toYaml . | nindent 10 }}
        {{- end }}
        resources:
          {{- toYaml $settings.resources | nindent 10 }}
        securityContext:
          {{- include "selvage.securityContext" $it | nindent 10 }}
        terminationMessagePath: /dev/termination-log
        terminationMessagePolicy: FallbackToLogsOnError
        {{- with concat (.mounts | default list) $settings.extraVolumeMounts }}
        volumeMounts:
          {{- toYaml . | nindent 10 }}
        {{- end }}
      {{- /* Not those of all pods: beside one that doesn't end a Job doesn't either. */}}
      {{- with .root.Values.jobs.extraContainers }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- include "selvage.volumes" (dict "settings" $settings "volumes" .volumes) | nindent 4 }}
{{- end }}

{{/* A whole Job. Takes what its spec takes, and `name`, which the hash is appended to. */}}
{{- define "selvage.job" -}}
{{- $spec := include "selvage.jobSpec" . -}}
apiVersion: batch/v1
kind: Job
metadata:
  {{- include "selvage.metadata" (merge (dict "name" (printf "%s-%s" .name (sha256sum $spec | trunc 8))) .) | nindent 2 }}
spec:
  {{- $spec | nindent 2 }}
{{- end }}
