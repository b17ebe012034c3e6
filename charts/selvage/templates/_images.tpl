{{/* Images. Every image of the chart comes from here, so that one value moves all of them. */}}

{{/* An image. Takes the root, `repository`, `tag` and `digest`. */}}
{{- define "selvage.imageFrom" -}}
{{- $global := .root.Values.global | default dict -}}
{{- $registry := .root.Values.image.registry | default (get $global "imageRegistry") -}}
{{- $name := ternary (printf "%s/%s" (trimSuffix "/" (toString $registry)) .repository) .repository (not (empty $registry)) -}}
{{- if .digest -}}
{{ $name }}@{{ .digest }}
{{- else -}}
{{ $name }}:{{ .tag }}
{{- end -}}
{{- end }}

{{/* One of the shop's own. Takes the root and `image`, its name. */}}
{{- define "selvage.image" -}}
{{- $values := .root.Values.image -}}
{{- $tag := $values.tag | default .root.Chart.AppVersion -}}
{{- $digest := get $values.digests .image | default "" -}}
{{ include "selvage.imageFrom" (dict "root" .root "repository" (printf "%s/%s" $values.repository .image) "tag" $tag "digest" $digest) }}
{{- end }}

{{/* The pull secrets of a pod, if there are any. Takes the root itself. */}}
{{- define "selvage.pullSecrets" -}}
{{- $global := .Values.global | default dict -}}
{{- with .Values.image.pullSecrets | default (get $global "imagePullSecrets") }}
imagePullSecrets:
  {{- range . }}
  - name: {{ kindIs "map" . | ternary (get (kindIs "map" . | ternary . dict) "name") . }}
  {{- end }}
{{- end }}
{{- end }}
