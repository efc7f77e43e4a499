import { test } from 'tap'
import { readConfig } from '../src/config/config.ts'
import { startFault } from '../src/operations/start-faults.ts'
import { local } from './support/environments.ts'

const config = readConfig({ ...local, METRICS_PORT: '9090' })
const fault = (code: string, message = 'no more is told') => Object.assign(new Error(message), { code })

void test('a failed start that the operator can fix says how', async (t) => {
  const told: [error: Error, words: string | RegExp][] = [
    [fault('EADDRINUSE'), 'set PORT to another'],
    [Object.assign(fault('EADDRINUSE'), { port: 9_090 }), 'set METRICS_PORT to another'],
    [fault('EADDRNOTAVAIL'), 'HOST 127.0.0.1 is no address of this machine'],
    [
      fault('EACCES', 'permission denied, open data/secret'),
      'No permission: permission denied, open data/secret',
    ],
    [fault('ERR_MODULE_NOT_FOUND', "Cannot find package '@electric-sql/pglite'"), 'DATABASE_URL is not set'],
    [fault('ERR_MODULE_NOT_FOUND', "Cannot find package 'fs-native-extensions'"), 'DATABASE_URL is not set'],
    [fault('ECONNREFUSED'), /can't be used \(ECONNREFUSED\).*DATABASE_URL/],
    [
      fault('08P01', 'unsupported startup parameter: statement_timeout'),
      'set MIGRATION_DATABASE_URL to a direct',
    ],
    [fault('28P01'), /\(28P01\)/],
    [fault('3D000'), /\(3D000\)/],
    [new Error('Failed query', { cause: fault('42501') }), /\(42501\)/],
  ]
  for (const [error, words] of told) t.match(startFault(error, config), words)
})

void test('an internal error at the start gets no message of its own', async (t) => {
  const ours = [
    new TypeError('x is not a function'),
    fault('ERR_MODULE_NOT_FOUND', "Cannot find package 'fastify'"),
    fault('42601'),
  ]
  for (const error of ours) t.equal(startFault(error, config), undefined)
})
