import { setTimeout as pause } from 'node:timers/promises'
import { test } from 'tap'
import { TIMEOUT_MS } from '../support/database.ts'
import { type MailServer, reply } from '../support/mail-server.ts'
import { type Proxy, startProxy } from '../support/proxy.ts'
import { ask } from './support/client.ts'
import { anyOf, between, setScene, signInAsAdmin } from './support/scene.ts'

const PEOPLE = 4
const PLAYED_MS = 3_000
const NOBODY = 'nobody@example.com'

interface Way {
  readonly proxy: Proxy
  readonly server: MailServer
}

/** What a client of SMTP says, and is never answered (RFC 5321, 4.1.1). */
const steps = {
  EHLO: /^EHLO/i,
  'MAIL FROM': /^MAIL FROM/i,
  'RCPT TO': /^RCPT TO/i,
  DATA: /^DATA/i,
  'the end of a mail': /\r\n\.\r\n$/,
}
const silences = Object.entries(steps).map(
  ([step, at]) => [`silent at ${step}`, ({ proxy }: Way) => proxy.silence(at)] as const,
)

/** Each breaks the way of the mails; `mend` makes it whole. */
const faults: Record<string, (way: Way) => unknown> = {
  away: ({ proxy }) => proxy.cut(),
  'silent from the greeting': ({ proxy }) => (proxy.drop(), proxy.silence()),
  ...Object.fromEntries(silences),
  'cut off again and again': async ({ proxy }) => {
    for (const end = Date.now() + PLAYED_MS; Date.now() < end; await pause(between(10, 100))) proxy.drop()
  },
  'refusing at any step': ({ server }) => {
    server.answer = (step) => (step === anyOf(['from', 'to', 'data']) ? reply(451, 'later') : undefined)
  },
  'slow at any step': ({ server }) => {
    server.answer = async () => {
      await pause(between(0, 1_000))
      return undefined
    }
  },
}

async function mend({ proxy, server }: Way) {
  await proxy.cut()
  proxy.speak()
  await proxy.open()
  refuseNobody(server)
}

/** One address that nobody ever has. */
function refuseNobody(server: MailServer) {
  server.answer = (step, address) =>
    step === 'to' && address === NOBODY ? reply(550, 'no such mailbox') : undefined
}

void test('fault 31: the mail server is away, refuses, or is silent', async (t) => {
  // Whether answers wait for mails is looked at, and not how soon the database answers.
  const scene = await setScene(t, { env: { DATABASE_TIMEOUT_MS: String(TIMEOUT_MS) } })
  const proxy = await startProxy(t, `smtp://127.0.0.1:${scene.mailServer.port}`)
  const way = { proxy, server: scene.mailServer }
  await mend(way)
  const service = await scene.startService({ SMTP_PORT: new URL(proxy.url).port })
  const load = await scene.live(service.url, PEOPLE)
  const medianOf = async (play: () => unknown) => {
    const [since, quick] = [load.replies.length, load.quick.length]
    await Promise.all([play(), pause(PLAYED_MS)])
    const replies = load.replies.slice(since)
    t.ok(replies.length > 0, 'people go on')
    t.same(
      replies.filter(({ status }) => status !== 200 && status !== 201),
      [],
      'no answer changes',
    )
    return median(load.quick.slice(quick).map(({ ms }) => ms))
  }
  const healthy = [await medianOf(() => undefined)]
  const medians: string[] = []
  for (const [name, play] of Object.entries(faults)) {
    const during = await medianOf(() => play(way))
    medians.push(`${name} ${Math.round(during)} ms`)
    await mend(way)
    // Before and after, as the machine may have something else to do from some time on.
    healthy.push(await medianOf(() => undefined))
    const usual = Math.max(...healthy.slice(-2))
    t.ok(during < 2 * usual + 100, `${name}: answers take no longer: ${during} against ${usual} ms`)
  }
  const admin = await signInAsAdmin(service.url)
  await ask(`${service.url}/api/v1/utils/test-email/?email_to=${NOBODY}`, { method: 'POST', token: admin })
  await load.stop()
  await scene.sql`update emails set next_attempt_at = now() where sent_at is null and parked_at is null`
  const parked = async () =>
    (await scene.sql`select last_error from emails where recipient = ${NOBODY} and parked_at is not null`)[0]
  for (const end = Date.now() + 20_000; !(await parked()) && Date.now() < end;) await pause(100)
  t.match(
    await parked(),
    { last_error: /no such mailbox/ },
    'what can never be sent is put aside, and says why',
  )
  await scene.sql`delete from emails where recipient = ${NOBODY}`
  await scene.audit(Object.keys(faults).length, 'fault 31')
  t.comment(`figure: fault 31: the median answer took ${Math.round(healthy[0]!)} ms; ${medians.join(', ')}`)
})

const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
