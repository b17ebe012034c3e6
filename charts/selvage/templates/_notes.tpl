{{/* What is said after an installation. */}}

{{- define "selvage.notes" -}}
{{- $fullname := include "selvage.fullname" . -}}
{{- $namespace := .Release.Namespace -}}
The shop is on its way. Its pods are ready once their keys and their databases' schemas are there:

  kubectl -n {{ $namespace }} get pods -l app.kubernetes.io/instance={{ .Release.Name }}

A pod that isn't ready says in its log what it waits for.

Open the shop:
{{ if .Values.ingress.enabled }}
  {{ ternary "https" "http" (not (empty .Values.ingress.tls)) }}://{{ first (.Values.ingress.hosts | default (list "(the address of your Ingress)")) }}
{{- else if .Values.httpRoute.enabled }}
  {{ first (.Values.httpRoute.hostnames | default (list "(the address of your gateway)")) }}
{{- else }}
  kubectl -n {{ $namespace }} port-forward service/{{ $fullname }}-web 8080:{{ .Values.web.service.port }}
  http://localhost:8080
{{- end }}

Put a shirt into the bag and buy it: the payment takes test cards only. Or let a pod do that:

  helm -n {{ $namespace }} test {{ .Release.Name }}
{{ if and .Values.jaeger.enabled (not .Values.telemetry.otlp.endpoint) }}
See the trace of a purchase:

  kubectl -n {{ $namespace }} port-forward service/{{ $fullname }}-jaeger 16686
  http://localhost:16686
{{ end }}
See the pools, at /ops of the shop. It asks for a token of the role operations, which is signed with the key in the Secret
{{ include "selvage.keySecret" (dict "root" . "holder" "operations") }}:

  kubectl -n {{ $namespace }} get secret {{ include "selvage.keySecret" (dict "root" . "holder" "operations") }} -o jsonpath='{.data.key}' | base64 -d > operations.key
  selvage-deploy token operations --key-file operations.key

Connections that the services may open, at the most{{ ternary ", with an operator" "" .Values.budget.withOperator }}:
{{ range $name, $server := .Values.budget.servers }}
{{ (include "selvage.sums" (dict "root" $ "name" $name "server" $server) | fromYaml).words | indent 2 }}
{{- end }}
{{ if eq .Values.database.kind "playground" }}
Next, before anything of it is real:
- The database is for trying out: one instance, no backup{{ if not .Values.postgres.persistence.enabled }}, and it ends with its pod{{ end }}. Set database.kind to existing or cloudnativepg.
{{- else }}
Next:
{{- if eq .Values.database.kind "existing" }}
- Each service needs its Secret and its owner's: {{ (include "selvage.account" (dict "root" . "component" "catalogue") | fromYaml).secret }} and {{ (include "selvage.account" (dict "root" . "component" "catalogue" "owner" true) | fromYaml).secret }}, and so on.
{{- end }}
{{- end }}
{{- if not .Values.checkout.mail.secret }}
- Mails are files in checkout's pods, and end with them. Set checkout.mail.secret.
{{- end }}
{{- if not .Values.web.options.secureCookies }}
- Browsers send sessions in the clear. Serve the pages by https, and set web.options.secureCookies: true.
{{- end }}
{{- if .Values.keys.make }}
- The Secrets with the keys stay when the release is uninstalled. Keep a copy of them: without it everybody is signed out.
{{- end }}
{{- if and .Values.postgres.persistence.enabled (eq .Values.database.kind "playground") }}
- So does the volume of the database. Whoever deletes one of them deletes both: the passwords are in the Secret {{ include "selvage.keysPrefix" . }}-postgres.
{{- end }}
{{- end }}
