-- The request that wrk repeats: the fields of a provider's SDK, with a credential that no proxy may let through.
wrk.method = "{{ .Method }}"
wrk.headers["Host"] = "{{ .Hostname }}"
{{- range .Fields }}
wrk.headers["{{ .Name }}"] = "{{ .Value }}"
{{- end }}
{{- if .Body }}
wrk.body = string.rep("x", {{ .Body }})
{{- end }}
