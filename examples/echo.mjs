// A far side to try the examples against: over TLS, it answers every request with what it got, header lines in the
// order and spelling in which they came, credentials included. It prints a line for each connection. It is for trying
// things out alone.
//
//   node echo.mjs ADDRESS PORT CERTIFICATE KEY [AUTHORITY]
//
// With an authority it demands a client certificate that the authority signed.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'

const [address, port, certificate, key, authority] = process.argv.slice(2)
const options = { cert: readFileSync(certificate), key: readFileSync(key) }
if (authority) Object.assign(options, { ca: readFileSync(authority), requestCert: true, rejectUnauthorized: true })

createServer(options, (request, response) => {
  const client = request.socket.getPeerCertificate().subject?.CN ?? 'nobody'
  response.setHeader('Content-Type', 'text/plain')
  response.write(`(server name ${request.socket.servername}, client ${client})\n`)
  response.write(`${request.method} ${request.url}\n`)
  for (let i = 0; i < request.rawHeaders.length; i += 2) {
    response.write(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}\n`)
  }
  response.write('\n')
  request.pipe(response)
}).on('connection', () => console.log('a connection')).listen(Number(port), address, () => console.log('listening'))
