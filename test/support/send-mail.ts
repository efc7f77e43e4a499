import { env } from 'node:process'
import { readConfig } from '../../src/config/config.ts'
import { transport } from '../../src/mail/transport.ts'

/** Sends one mail by the server that the environment names: certificates to trust are read when a process starts. */
const outgoing = transport(readConfig(env))
await outgoing.send({
  id: 'id',
  to: 'ada@example.com',
  subject: 'Hello',
  html: '<p>Hello</p>',
  text: 'Hello',
})
outgoing.close()
