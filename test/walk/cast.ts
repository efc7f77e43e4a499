import type { Answer, Client } from './client.ts'
import { isMap } from './shapes.ts'

export interface Person {
  id: string
  email: string
  password: string
  token: string
}

/** Who takes part in a walk: the superuser it was given, and people it makes and takes away again. */
export class Cast {
  readonly client: Client
  readonly admin: Person
  #ordinary: Promise<Person> | undefined

  constructor(client: Client, admin: Person) {
    this.client = client
    this.admin = admin
  }

  /** Capitals on purpose: an address keeps the case that it was given in. */
  address = () => `Walk-${crypto.randomUUID()}@Example.com`

  password = () => `walk-${crypto.randomUUID()}`

  /** A new person, signed in. */
  person = async (fields: Record<string, unknown> = {}): Promise<Person> => {
    const email = this.address()
    const password = this.password()
    const json = { email, password, ...fields }
    const made = await this.client.api('POST', '/users/', { as: this.admin, json })
    const id = field(made, 'id')
    return { id, email, password, token: await this.token(email, password) }
  }

  /** One person with no rights beyond their own rows, the same for all who ask. */
  ordinary = async () => (this.#ordinary ??= this.person())

  /** The access token of a new session. */
  token = async (username: string, password: string) => signIn(this.client, username, password)

  /** The token of a recovery link: what stands last in the first href that has one. */
  resetToken = async (email: string): Promise<string> => {
    const path = `/password-recovery-html-content/${encodeURIComponent(email)}`
    const mail = await this.client.api('POST', path, { as: this.admin })
    const link = recoveryLink(mail.text)
    if (!link) throw new Error(`no link with a token in the mail: ${mail.status} ${mail.text.slice(0, 200)}`)
    return link.token
  }

  item = async (owner: Person, fields: Record<string, unknown> = {}) => {
    const answer = await this.client.api('POST', '/items/', {
      as: owner,
      json: { title: 'A thing', ...fields },
    })
    return { id: field(answer, 'id'), answer }
  }

  /** Takes away all that the walk has made, and gives the paths that stayed. */
  tidy = async (): Promise<string[]> => {
    const left: string[] = []
    const token = await this.token(this.admin.email, this.admin.password)
    for (const path of [...this.client.made].toSorted()) {
      const { status } = await this.client.api('DELETE', path, { as: { token } })
      if (status !== 200 && status !== 404) left.push(path)
    }
    this.client.made.clear()
    this.#ordinary = undefined
    return left
  }
}

/** The first link with a token in a mail's HTML. */
export function recoveryLink(html: string) {
  const [, href, token] = /href="([^"]*[?&]token=([^"]+))"/.exec(html) ?? []
  return href && token ? { href, token: decodeURIComponent(token) } : undefined
}

export async function signIn(client: Client, username: string, password: string) {
  return field(
    await client.api('POST', '/login/access-token', { form: { username, password } }),
    'access_token',
  )
}

/** A text field of an answer that later steps need. */
export function field(answer: Answer, name: string): string {
  const value = isMap(answer.body) ? answer.body[name] : undefined
  if (answer.status < 300 && typeof value === 'string') return value
  throw new Error(`${answer.call} gave no ${name}: ${answer.status} ${answer.text.slice(0, 200)}`)
}
