import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { type Ask, type Reply, ask } from './client.ts'
import { type Claim, type Ledger, type Rows, whole } from './ledger.ts'
import type { Post } from './post.ts'

/** What a load needs. */
export interface World {
  /** Where to send the next request. */
  readonly url: () => string
  readonly ledger: Ledger
  readonly post: Post
  /** A superuser's access token. */
  readonly admin: string
  /** Answers that the fault explains, such as `DELETE 404`, beside those of a gateway. */
  readonly explained?: readonly string[] | undefined
}

export interface Load {
  /** Every reply, as it came. */
  readonly replies: Pick<Reply, 'status' | 'ms'>[]
  /** Those that hash nothing: how long they take says something, on a machine that is busy too. */
  readonly quick: Load['replies']
  /** Lets every client finish the request it is at. */
  stop(): Promise<void>
}

const PASSWORD = 'correct horse battery'
const OTHER_PASSWORD = 'battery horse correct'
/** A client that was refused tries something else a little later, as people do. */
const AFTER_REFUSAL_MS = 50
const MAIL_WITHIN_MS = 10_000

/** The superuser writes items all the time, at so many places at once. */
const WRITERS = 2

/** So many people live on the service at the same time, one life after the other, until told to stop. */
export function live(world: World, people: number): Load {
  const [replies, quick]: Load['replies'][] = [[], []]
  const stopping = new AbortController()
  let number = 0
  const writing = Array.from({ length: WRITERS }, async () => {
    const life = new Life(world, quick!)
    life.token = world.admin
    while (!stopping.signal.aborted) if (!(await life.writeItems())) await pause(AFTER_REFUSAL_MS)
  })
  const running = Array.from({ length: people }, async () => {
    while (!stopping.signal.aborted) {
      const life = new Life(world, replies!)
      const end = endings[number++ % endings.length]!
      if (!(await life.lead(end))) await pause(AFTER_REFUSAL_MS)
    }
  })
  return {
    get replies() {
      return [...replies!, ...quick!]
    },
    quick: quick!,
    async stop() {
      stopping.abort()
      await Promise.all([...running, ...writing])
    },
  }
}

/** One person: signs up, signs in, writes, and then does one thing of the kinds that change an account. */
class Life {
  readonly email = `${randomUUID()}@example.com`
  readonly world: World
  readonly replies: Load['replies']
  id = ''
  token = ''
  refreshToken = ''
  readonly sessions: string[] = []
  readonly sessionClaims: Claim[] = []
  constructor(world: World, replies: Load['replies']) {
    this.world = world
    this.replies = replies
  }

  /** @returns whether every step was acknowledged */
  async lead(end: Ending): Promise<boolean> {
    return (
      (await this.signUp()) &&
      (await this.signIn()) &&
      (await this.signIn()) &&
      (await this.writeItems()) &&
      end(this)
    )
  }

  async send(path: string, request: Ask): Promise<Reply> {
    const reply = await ask(`${this.world.url()}/api/v1${path}`, request)
    this.replies.push({ status: reply.status, ms: reply.ms })
    return reply
  }

  /** Sends a write and enters what came of it. */
  async write(kind: string, path: string, request: Ask, look: (rows: Rows) => ReturnType<typeof whole>) {
    const claim = this.world.ledger.claim(kind, look)
    const reply = await this.send(path, request)
    const { status } = reply
    claim.outcome = status === undefined ? 'unanswered' : status < 300 ? 'acknowledged' : 'refused'
    // nginx says 502 and 504 where a replica ended before it answered.
    const explained = this.world.explained?.includes(`${request.method} ${status}`) ?? false
    if (status !== undefined && status >= 300 && ![502, 503, 504].includes(status) && !explained)
      this.world.ledger.surprise(`${kind}: ${status} ${JSON.stringify(reply.body)}`)
    return { claim, reply, acknowledged: claim.outcome === 'acknowledged' }
  }

  async signUp() {
    const { email } = this
    const made = await this.write(
      'signup',
      '/users/signup',
      { method: 'POST', body: { email, password: PASSWORD, full_name: 'Ada' } },
      (rows) => {
        const mails = rows.mailsTo(email, 'verification')
        const user = rows.user(mails[0]?.user_id ?? email)
        return whole(
          { user: user !== undefined, 'one mail': mails.length === 1, link: Boolean(mails[0]?.token_id) },
          { user: user === undefined, mails: mails.length === 0 },
        )
      },
    )
    this.id = made.reply.body?.id
    return made.acknowledged
  }

  async signIn() {
    let session = ''
    const form = { username: this.email, password: PASSWORD }
    const made = await this.write('sign in', '/login/access-token', { method: 'POST', form }, (rows) =>
      whole({ session: rows.session(session) !== undefined }, { session: session === '' }),
    )
    if (!made.acknowledged) return false
    this.token = made.reply.body.access_token
    this.refreshToken = made.reply.body.refresh_token
    session = sessionOf(this.token)
    this.sessions.push(session)
    this.sessionClaims.push(made.claim)
    return true
  }

  async writeItems() {
    const { token } = this
    const create = async () => {
      const title = randomUUID()
      const there = (rows: Rows) => rows.items(title).length
      const body = { title, description: title }
      const made = await this.write('create item', '/items/', { method: 'POST', token, body }, (rows) =>
        whole(
          { 'one item': there(rows) === 1, text: rows.items(title)[0]?.description === title },
          { item: there(rows) === 0 },
        ),
      )
      return { ...made, title, id: made.reply.body?.id as string }
    }
    const items = await Promise.all([create(), create(), create()])
    const [, changed, deleted] = items as [unknown, (typeof items)[0], (typeof items)[0]]
    if (!items.every(({ acknowledged }) => acknowledged)) return false

    const text = randomUUID()
    changed.claim.drop()
    const body = { title: text, description: text }
    const update = await this.write(
      'change item',
      `/items/${changed.id}`,
      { method: 'PUT', token, body },
      (rows) => {
        const [item] = rows.items(changed.id)
        const has = (value: string) => ({
          title: item?.title === value,
          description: item?.description === value,
        })
        return whole(has(text), has(changed.title))
      },
    )
    deleted.claim.drop()
    const gone = await this.write(
      'delete item',
      `/items/${deleted.id}`,
      { method: 'DELETE', token },
      (rows) => {
        const there = rows.items(deleted.id).length > 0
        return whole({ gone: !there }, { there })
      },
    )
    return update.acknowledged && gone.acknowledged
  }

  dropSessions() {
    for (const claim of this.sessionClaims) claim.drop()
  }

  /** The token of a mailed link; undefined where it did not come in time. */
  mailed(path: '/reset-password' | '/verify-email') {
    return this.world.post.link(this.email, path, MAIL_WITHIN_MS)
  }
}

/** The session that an access token names. */
const sessionOf = (token: string) =>
  (JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as { sid: string }).sid

type Ending = (life: Life) => Promise<boolean>

/** What changes more than one row, each at the end of a life: later writes would cover what it left half done. */
const endings: Ending[] = [
  async function changesPassword(life) {
    const [ended, kept] = life.sessions as [string, string]
    life.dropSessions()
    const { acknowledged } = await life.write(
      'change password',
      '/users/me/password',
      {
        method: 'PATCH',
        token: life.token,
        body: { current_password: PASSWORD, new_password: OTHER_PASSWORD },
      },
      (rows) => {
        const version = rows.user(life.id)?.credentials_version
        const others = rows.session(ended) !== undefined
        const notices = rows.mailsTo(life.email, 'password_changed').length
        return whole(
          {
            password: version === 1,
            'others end': !others,
            'this stays': rows.session(kept) !== undefined,
            'one notice': notices === 1,
          },
          { password: version === 0, others, notice: notices === 0 },
        )
      },
    )
    return acknowledged
  },

  async function changesAddress(life) {
    const email = `${randomUUID()}@example.com`
    const { acknowledged } = await life.write(
      'change address',
      '/users/me',
      { method: 'PATCH', token: life.token, body: { email } },
      (rows) => {
        const now = rows.user(life.id)?.email
        const [told, linked] = [
          rows.mailsTo(life.email, 'own_address_changed').length,
          rows.mailsTo(email, 'new_address').length,
        ]
        return whole(
          { address: now === email, 'one notice': told === 1, 'one link': linked === 1 },
          { address: now === life.email, notice: told === 0, link: linked === 0 },
        )
      },
    )
    return acknowledged
  },

  async function recovers(life) {
    const asked = await life.write(
      'ask for recovery',
      `/password-recovery/${life.email}`,
      { method: 'POST' },
      (rows) => {
        const mails = rows.mailsTo(life.email, 'recovery')
        return whole(
          { 'one mail': mails.length === 1, link: Boolean(mails[0]?.token_id) },
          {
            mail: mails.length === 0,
            token: rows.tokensOf(life.id, 'reset_password').length === 0,
          },
        )
      },
    )
    const token = asked.acknowledged && (await life.mailed('/reset-password'))
    if (!token) return false
    life.dropSessions()
    const { acknowledged } = await life.write(
      'reset password',
      '/reset-password/',
      { method: 'POST', body: { token, new_password: OTHER_PASSWORD } },
      (rows) => {
        const user = rows.user(life.id)
        const sessions = rows.sessionsOf(life.id).length
        const tokens = rows.tokensOf(life.id, 'reset_password').length
        const notices = rows.mailsTo(life.email, 'password_changed').length
        return whole(
          {
            password: user?.credentials_version === 1,
            verified: user?.is_verified ?? false,
            'sessions end': sessions === 0,
            'token used': tokens === 0,
            'one notice': notices === 1,
          },
          {
            password: user?.credentials_version === 0,
            sessions: sessions === 2,
            token: tokens === 1,
            notice: notices === 0,
          },
        )
      },
    )
    return acknowledged
  },

  async function verifies(life) {
    const token = await life.mailed('/verify-email')
    if (!token) return false
    const { acknowledged } = await life.write(
      'verify address',
      '/verify-email/',
      { method: 'POST', body: { token } },
      (rows) => {
        const verified = rows.user(life.id)?.is_verified ?? false
        const tokens = rows.tokensOf(life.id, 'verify_email').length
        return whole({ verified, 'token used': tokens === 0 }, { verified: !verified, token: tokens === 1 })
      },
    )
    return acknowledged
  },

  async function refreshes(life) {
    const session = life.sessions[1]!
    const { acknowledged } = await life.write(
      'refresh',
      '/login/refresh-token',
      { method: 'POST', body: { refresh_token: life.refreshToken } },
      (rows) => {
        const generation = rows.session(session)?.generation
        return whole({ generation: generation === 1 }, { generation: generation === 0 })
      },
    )
    return acknowledged
  },

  async function signsOut(life) {
    const session = life.sessions[1]!
    life.sessionClaims[1]?.drop()
    const { acknowledged } = await life.write(
      'sign out',
      '/login/logout',
      { method: 'POST', token: life.token },
      (rows) => {
        const there = rows.session(session) !== undefined
        return whole({ gone: !there }, { there })
      },
    )
    return acknowledged
  },

  async function isDeactivated(life) {
    life.dropSessions()
    const { acknowledged } = await life.write(
      'deactivate',
      `/users/${life.id}`,
      { method: 'PATCH', token: life.world.admin, body: { is_active: false } },
      (rows) => {
        const active = rows.user(life.id)?.is_active
        const sessions = rows.sessionsOf(life.id).length
        return whole(
          { inactive: active === false, 'sessions end': sessions === 0 },
          { active: active === true, sessions: sessions === 2 },
        )
      },
    )
    return acknowledged
  },

  async function createsOther(life) {
    const email = `${randomUUID()}@example.com`
    const made = await life.write(
      'create user',
      '/users/',
      { method: 'POST', token: life.world.admin, body: { email, password: PASSWORD } },
      (rows) => {
        const user = rows.user(email)
        const mails = rows.mailsTo(email, 'welcome')
        return whole(
          { user: user !== undefined, 'one mail': mails.length === 1, link: Boolean(mails[0]?.token_id) },
          { user: user === undefined, mail: mails.length === 0 },
        )
      },
    )
    return made.acknowledged
  },

  async function asksForTestMail(life) {
    const email = `${randomUUID()}@example.com`
    const made = await life.write(
      'test mail',
      `/utils/test-email/?email_to=${email}`,
      { method: 'POST', token: life.world.admin },
      (rows) => {
        const mails = rows.mailsTo(email, 'test').length
        return whole({ 'one mail': mails === 1 }, { mail: mails === 0 })
      },
    )
    return made.acknowledged
  },

  async function isDeleted(life) {
    const user = `${randomUUID()}@example.com`
    const created = await ask(`${life.world.url()}/api/v1/users/`, {
      method: 'POST',
      token: life.world.admin,
      body: { email: user, password: PASSWORD },
    })
    if (created.status !== 200) return false
    const id = created.body.id as string
    const { acknowledged } = await life.write(
      'delete user',
      `/users/${id}`,
      { method: 'DELETE', token: life.world.admin },
      (rows) => {
        const there = rows.user(id) !== undefined
        const mails = rows.mailsTo(user, 'welcome').length
        return whole({ gone: !there, 'its mail too': mails === 0 }, { there, mail: mails === 1 })
      },
    )
    life.world.post.forget(user)
    return acknowledged
  },
]
