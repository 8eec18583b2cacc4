package spec_test

import "testing"

// crossOrigins are CORS filters.
func crossOrigins(t *testing.T, w *world) {
	f := func(row, cors string, lines ...string) {
		t.Helper()
		w.row(t, row, "rules: [{filters: [{type: CORS, cors: {"+cors+"}}], backendRefs: [{one}]}]", lines...)
	}
	const all = `allowOrigins: ["https://www.foo.com", "https://*.bar.com"], allowMethods: [GET, OPTIONS], allowHeaders: [x-header-1, x-header-2],
  exposeHeaders: [x-header-3, x-header-4], allowCredentials: true, maxAge: 3600`
	const answer = "; Access-Control-Allow-Methods: GET, OPTIONS; Access-Control-Allow-Headers: x-header-1, x-header-2; Access-Control-Max-Age: 3600; " +
		"Access-Control-Allow-Credentials: true; Vary: Origin}"
	f("HTTPRouteFilter.cors: a preflight is answered, and reaches nobody", all,
		"OPTIONS / {Origin: https://www.foo.com; Access-Control-Request-Method: GET; Access-Control-Request-Headers: x-header-1, x-header-2} <- 204 {Access-Control-Allow-Origin: https://www.foo.com"+answer,
		"OPTIONS / {Origin: https://www.bar.com; Access-Control-Request-Method: GET} <- 204 {Access-Control-Allow-Origin: https://www.bar.com"+answer)
	f("HTTPRouteFilter.cors: what is no preflight is served", all,
		"GET / {Origin: https://www.foo.com; Access-Control-Request-Method: GET} -> one {Origin: https://www.foo.com} <- 200 {Access-Control-Allow-Origin: https://www.foo.com; Access-Control-Expose-Headers: x-header-3, x-header-4; Access-Control-Allow-Credentials: true; Vary: Origin}",
		"OPTIONS / {Origin: https://www.foo.com} -> one <- 200 {Access-Control-Allow-Origin: https://www.foo.com}", "GET / -> one <- 200 {-Access-Control-Allow-Origin}")
	f("HTTPRouteFilter.cors: the gateway's fields stand in the place of the backend's", all,
		"GET / {Origin: https://www.foo.com; Far-Field: Access-Control-Allow-Origin=*; Far-Field: Access-Control-Max-Age=1} -> one <- 200 {Access-Control-Allow-Origin: https://www.foo.com; -Access-Control-Max-Age}")
	f("HTTPCORSFilter.allowOrigins: a wildcard stands for labels to its left", all,
		"OPTIONS / {Origin: https://xpto.www.bar.com; Access-Control-Request-Method: GET} <- 204 {Access-Control-Allow-Origin: https://xpto.www.bar.com}",
		"OPTIONS / {Origin: https://bar.com; Access-Control-Request-Method: GET} <- 204 {-Access-Control-Allow-Origin}",
		"OPTIONS / {Origin: https://foobar.com; Access-Control-Request-Method: GET} <- 204 {-Access-Control-Allow-Origin}")
	f("HTTPCORSFilter.allowOrigins: another origin gets no permission", all,
		"OPTIONS / {Origin: https://foobar.com; Access-Control-Request-Method: GET} <- 204 {-Access-Control-Allow-Origin; -Access-Control-Allow-Methods; -Access-Control-Allow-Credentials}",
		"OPTIONS / {Origin: http://www.foo.com; Access-Control-Request-Method: GET} <- 204 {-Access-Control-Allow-Origin}",
		"OPTIONS / {Origin: https://www.foo.com:8443; Access-Control-Request-Method: GET} <- 204 {-Access-Control-Allow-Origin}",
		"GET / {Origin: https://foobar.com} -> one <- 200 {-Access-Control-Allow-Origin; -Access-Control-Allow-Credentials}")
	f("HTTPCORSFilter.allowOrigins: the scheme's port is implied", `allowOrigins: ["https://a.test:443", "http://b.test:8080"]`,
		"OPTIONS / {Origin: https://a.test; Access-Control-Request-Method: GET} <- 204 {Access-Control-Allow-Origin: https://a.test}",
		"OPTIONS / {Origin: http://b.test:8080; Access-Control-Request-Method: GET} <- 204 {Access-Control-Allow-Origin: http://b.test:8080}",
		"OPTIONS / {Origin: http://b.test; Access-Control-Request-Method: GET} <- 204 {-Access-Control-Allow-Origin}")
	f("HTTPCORSFilter.allowOrigins: *, without credentials", `allowOrigins: ["*"], allowMethods: [PUT], allowCredentials: false`,
		"OPTIONS / {Origin: https://foobar.com:12345; Access-Control-Request-Method: PUT} <- 204 {Access-Control-Allow-Origin: *; Access-Control-Allow-Methods: PUT; -Access-Control-Allow-Credentials}",
		"PUT / {Origin: https://foobar.com:12345} -> one <- 200 {Access-Control-Allow-Origin: *; -Access-Control-Allow-Credentials}")
	f("HTTPCORSFilter.allowCredentials: true, nothing is answered by *", `allowOrigins: ["*"], allowMethods: ["*"], allowHeaders: ["*"], exposeHeaders: ["*"], allowCredentials: true`,
		"OPTIONS / {Origin: https://other.foo.com; Access-Control-Request-Method: PUT; Access-Control-Request-Headers: x-header-1, x-header-2} <- 204 {Access-Control-Allow-Origin: https://other.foo.com; Access-Control-Allow-Methods: PUT; Access-Control-Allow-Headers: x-header-1, x-header-2; Access-Control-Allow-Credentials: true}",
		"OPTIONS / {Origin: https://other.foo.com; Access-Control-Request-Method: PUT} <- 204 {Access-Control-Allow-Methods: PUT; -Access-Control-Allow-Headers}",
		"GET / {Origin: https://other.foo.com; Far-Field: X-Own=1} -> one <- 200 {Access-Control-Allow-Origin: https://other.foo.com; Access-Control-Allow-Credentials: true; Access-Control-Expose-Headers: X-Far, X-Own, Date, Vary}")
	f("HTTPCORSFilter.allowMethods: *", `allowOrigins: ["https://www.foo.com"], allowMethods: ["*"]`,
		"OPTIONS / {Origin: https://www.foo.com; Access-Control-Request-Method: POST} <- 204 {Access-Control-Allow-Methods: *; -Access-Control-Allow-Credentials}")
	f("HTTPCORSFilter.allowHeaders: *", `allowOrigins: ["https://www.foo.com"], allowHeaders: ["*"]`,
		"OPTIONS / {Origin: https://www.foo.com; Access-Control-Request-Method: POST; Access-Control-Request-Headers: authorization, x-a} <- 204 {Access-Control-Allow-Headers: authorization, x-a}")
	f("HTTPCORSFilter.exposeHeaders: *", `allowOrigins: ["https://www.foo.com"], exposeHeaders: ["*"]`,
		"GET / {Origin: https://www.foo.com} -> one <- 200 {Access-Control-Expose-Headers: *}")
	f("HTTPCORSFilter.maxAge: 5 is the default", `allowOrigins: ["https://www.foo.com"]`,
		"OPTIONS / {Origin: https://www.foo.com; Access-Control-Request-Method: POST} <- 204 {Access-Control-Max-Age: 5}")
}
