-- The request that wrk repeats: the fields of a provider's SDK, with a credential that no proxy may let through.
wrk.method = "{{ .Method }}"
wrk.headers["Host"] = "{{ .Hostname }}"
wrk.headers["Accept"] = "application/json"
wrk.headers["User-Agent"] = "OpenAI/Python 1.40.0"
wrk.headers["Authorization"] = "Bearer placeholder"
wrk.headers["X-Stainless-Lang"] = "python"
wrk.headers["X-Stainless-Package-Version"] = "1.40.0"
wrk.headers["X-Stainless-OS"] = "Linux"
wrk.headers["X-Stainless-Runtime"] = "CPython"
{{- if .Body }}
wrk.headers["Content-Type"] = "application/json"
wrk.body = string.rep("x", {{ .Body }})
{{- end }}
