// A far side to try the examples against: it answers every request with what it got, header lines in the order and
// spelling in which they came, credentials included. It prints a line for each connection. It is for trying things out
// alone.
//
//   [STATUS=503] node echo.mjs ADDRESS PORT [CERTIFICATE KEY [AUTHORITY]]
//
// With a certificate it speaks TLS; with an authority it demands a client certificate that the authority signed. STATUS is
// what it answers instead of 200; with STATUS=silent it takes requests and never answers.
import { readFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'

const [address, port, certificate, key, authority] = process.argv.slice(2)
const { STATUS = '200' } = process.env
const options = certificate ? { cert: readFileSync(certificate), key: readFileSync(key) } : {}
if (authority) Object.assign(options, { ca: readFileSync(authority), requestCert: true, rejectUnauthorized: true })

const { createServer } = certificate ? https : http
createServer(options, (request, response) => {
  if (STATUS === 'silent') return
  const { socket } = request
  response.writeHead(Number(STATUS), { 'Content-Type': 'text/plain' })
  response.write(certificate ? `(server name ${socket.servername}, client ${socket.getPeerCertificate().subject?.CN ?? 'nobody'})\n` : `(at ${address})\n`)
  response.write(`${request.method} ${request.url}\n`)
  for (let i = 0; i < request.rawHeaders.length; i += 2) {
    response.write(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}\n`)
  }
  response.write('\n')
  request.pipe(response)
}).on('connection', () => console.log('a connection')).listen(Number(port), address, () => console.log('listening'))
