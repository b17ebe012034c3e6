{{/* The keys with which processes sign tokens, and the list of those that are trusted. */}}

{{/* What is in front of the names of the Secrets that the Job makes. */}}
{{- define "selvage.keysPrefix" -}}
{{ .Values.keys.prefix | default (include "selvage.fullname" .) }}
{{- end }}

{{/* The Secret of a holder's key, or of the list (`trusted`). Takes the root and `holder`. */}}
{{- define "selvage.keySecret" -}}
{{- $prefix := include "selvage.keysPrefix" .root -}}
{{- $own := ternary (printf "%s-trusted-keys" $prefix) (printf "%s-key-%s" $prefix .holder) (eq .holder "trusted") -}}
{{ get .root.Values.keys.secrets .holder | default $own }}
{{- end }}

{{/* The volume with a service's key and the list, which Kubernetes changes together. Takes the root and `facts`. */}}
{{- define "selvage.keysVolume" -}}
- name: keys
  projected:
    defaultMode: 292
    sources:
      {{- with .facts.key }}
      - secret:
          name: {{ include "selvage.keySecret" (dict "root" $.root "holder" .) }}
          items:
            - key: key
              path: issuer.key
      {{- end }}
      {{- if .facts.grpc }}
      - secret:
          name: {{ include "selvage.keySecret" (dict "root" .root "holder" "trusted") }}
          items:
            - key: trusted-keys
              path: trusted.keys
      {{- end }}
{{- end }}
