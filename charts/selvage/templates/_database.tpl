{{/* How a service, and whoever migrates its database, finds it. */}}

{{/* An account at a database, as YAML: `secret`, `keys`, `host`, `port`, `name`, `user`, `ssl`. Takes the root, `component`, and
     `owner` if it is the owner's. */}}
{{- define "selvage.account" -}}
{{- $values := .root.Values.database -}}
{{- $own := (get .root.Values .component).database -}}
{{- $fullname := include "selvage.fullname" .root -}}
{{- $suffix := ternary "-database-owner" "-database" (default false .owner) -}}
{{- $secret := ternary $own.ownerSecret $own.secret (default false .owner) | default (printf "%s-%s%s" $fullname .component $suffix) -}}
{{- $user := ternary $own.ownerRole $own.role (default false .owner) -}}
{{- $account := dict "name" $own.name "user" $user "secret" $secret "keys" (dict) -}}
{{- if eq $values.kind "playground" -}}
{{- $key := ternary (printf "%s-owner" .component) .component (default false .owner) -}}
{{- $secret = printf "%s-postgres" (include "selvage.keysPrefix" .root) -}}
{{- $account = merge (dict "secret" $secret "keys" (dict "password" $key) "host" (printf "%s-postgres" $fullname) "port" 5432 "ssl" "disable") $account -}}
{{- else if eq $values.kind "cloudnativepg" -}}
{{- $account = merge (dict "keys" (dict "password" "password") "host" (printf "%s-postgres-rw" $fullname) "port" 5432 "ssl" $values.sslMode) $account -}}
{{- else -}}
{{- $account = merge (dict "keys" $values.secretKeys "host" ($own.host | default $values.host) "port" ($own.port | default $values.port) "ssl" $values.sslMode) $account -}}
{{- end -}}
{{- toYaml $account }}
{{- end }}

{{/* The Secret with the certificates that a server's is checked with, and its key; nothing if there is none. */}}
{{- define "selvage.databaseCa" -}}
{{- $values := .Values.database -}}
{{- if and (eq $values.kind "cloudnativepg") (not $values.ca.secret) -}}
secret: {{ include "selvage.fullname" . }}-postgres-ca
key: ca.crt
{{- else if and $values.ca.secret (ne $values.kind "playground") -}}
secret: {{ $values.ca.secret }}
key: {{ $values.ca.key }}
{{- end -}}
{{- end }}

{{/* The variables of an account: the address, and the file with the password, or with the address that has it. Takes the root and `account`. */}}
{{- define "selvage.databaseEnv" -}}
{{- $account := .account -}}
{{- $keys := $account.keys -}}
{{- if $keys.url }}
- name: SELVAGE_DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ $account.secret }}
      key: {{ $keys.url }}
{{- else }}
{{- $parts := dict "host" $account.host "port" (toString $account.port) "name" $account.name "user" $account.user }}
{{- range $part, $value := $parts }}
{{- with get $keys $part }}
- name: DATABASE_{{ upper $part }}
  valueFrom:
    secretKeyRef:
      name: {{ $account.secret }}
      key: {{ . }}
{{- $_ := set $parts $part (printf "$(DATABASE_%s)" (upper $part)) }}
{{- end }}
{{- end }}
{{- $ca := ternary "&sslrootcert=/etc/selvage/database-ca/ca.crt" "" (not (empty (include "selvage.databaseCa" .root))) }}
- name: SELVAGE_DATABASE_URL
  value: {{ printf "postgres://%s@%s:%s/%s?sslmode=%s%s" $parts.user $parts.host $parts.port $parts.name $account.ssl $ca | quote }}
{{- end }}
- name: SELVAGE_DATABASE_PASSWORD_FILE
  value: /etc/selvage/database/password
{{- end }}

{{/* The volumes of an account, as YAML. Takes the root and `account`. */}}
{{- define "selvage.databaseVolumes" -}}
{{- $ca := include "selvage.databaseCa" .root | fromYaml }}
- name: database
  secret:
    secretName: {{ .account.secret }}
    defaultMode: 292
    items:
      - key: {{ .account.keys.password | default .account.keys.url }}
        path: password
{{- if $ca }}
- name: database-ca
  secret:
    secretName: {{ $ca.secret }}
    defaultMode: 292
    items:
      - key: {{ $ca.key }}
        path: ca.crt
{{- end }}
{{- end }}

{{/* Where they are mounted. */}}
{{- define "selvage.databaseMounts" }}
- name: database
  mountPath: /etc/selvage/database
  readOnly: true
{{- if include "selvage.databaseCa" .root }}
- name: database-ca
  mountPath: /etc/selvage/database-ca
  readOnly: true
{{- end }}
{{- end }}
