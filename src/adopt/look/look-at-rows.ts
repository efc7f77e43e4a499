import { isAffordable } from '../../accounts/passwords/passwords.ts'
import type { Send } from '../../database/pool/transaction.ts'
import { type Spelled, respellingsOf, spelledBeyondAscii } from './spellings.ts'
import { type Carried, columnSql } from '../carried.ts'
import type { Found } from './look-at-tables.ts'
import type { Namesake, Rename } from '../renames.ts'

/** What is in the template's tables. */
export interface Rows {
  readonly users: number
  readonly inactive: number
  readonly superusers: number
  readonly items: number
  /** Rows without created_at. */
  readonly undated: { readonly users: number; readonly items: number }
  /** Addresses beyond ASCII, or longer than a new user could have. */
  readonly odd: number
  /** By kind. `isComparable`: whether a password can be compared with them here. */
  readonly hashes: readonly {
    readonly kind: string
    readonly count: number
    readonly isComparable: boolean
  }[]
  /** Those whose addresses are one here, as they are to be told: whoever keeps the address first. */
  readonly namesakes: readonly Namesake[]
  /** Addresses that nobody could be found by here, and what they become. */
  readonly respelled: readonly Rename[]
  /** Values that are too long for their columns here. */
  readonly tooLong: readonly string[]
}

export async function lookAtRows(send: Send, found: Found, carried: readonly Carried[]): Promise<Rows> {
  const [users, items] = carried
  const one = async <Row extends object>(text: string) => (await send<Row[]>(text))[0]!
  const createdAt = (table: Carried) => columnSql(found, table, 'created_at')
  const people = await one<Omit<Rows, 'undated' | 'items'> & { undated: number }>(`
    select count(*)::float8 as users, count(*) filter (where not is_active)::float8 as inactive,
      count(*) filter (where is_superuser)::float8 as superusers,
      count(*) filter (where ${createdAt(users!)} is null)::float8 as undated,
      count(*) filter (where email::text !~ '^[!-?A-~]{1,64}@[A-Za-z0-9.-]+$')::float8 as odd
    from "user" as template`)
  const things = items
    ? await one<{ items: number; undated: number }>(`
        select count(*)::float8 as items, count(*) filter (where ${createdAt(items)} is null)::float8 as undated
        from item as template`)
    : { items: 0, undated: 0 }
  const spelled = await spelledBeyondAscii(send)
  return {
    ...people,
    items: things.items,
    undated: { users: people.undated, items: things.undated },
    hashes: await hashesByKind(send),
    namesakes: [...(await send<Namesake[]>(namesakes(found, users!, items), [asJson(spelled)]))],
    respelled: respellingsOf(spelled),
    tooLong: (await Promise.all(carried.map((table) => tooLong(send, found, table)))).flat(),
  }
}

async function hashesByKind(send: Send): Promise<Rows['hashes']> {
  const groups = await send<{ kind: string; count: number; one: string }[]>(HASHES)
  const kinds = new Map<string, Rows['hashes'][number]>()
  for (const { kind, count, one } of groups) {
    const isComparable = isAffordable(one)
    const key = `${kind} ${isComparable}`
    kinds.set(key, { kind, isComparable, count: count + (kinds.get(key)?.count ?? 0) })
  }
  return [...kinds.values()].toSorted((one, other) => other.count - one.count)
}

/** One of each kind and parameters: what stands before salt and hash. */
const HASHES = `
  select case when hashed_password ~ '^\\$2[aby]\\$' then 'bcrypt'
      when coalesce(hashed_password, '') = '' then 'none'
      else coalesce(substring(hashed_password from '^\\$?([a-z0-9_-]+)\\$'), 'another kind') end as kind,
    count(*)::float8 as count, coalesce(min(hashed_password), '') as one
  from "user" group by 1, substring(hashed_password from '^(\\$[a-z0-9]+\\$(?:v=\\d+\\$)?[a-z0-9=,]+|[a-z0-9_]+\\$\\d+)\\$') order by 2 desc, 1`

const asJson = (spelled: readonly Spelled[]) =>
  JSON.stringify(Object.fromEntries(spelled.map(({ lowered, stored }) => [lowered, stored.toLowerCase()])))

/** Superusers first, then who has more items, then the older. */
const namesakes = (found: Found, users: Carried, items: Carried | undefined) => `
  with spelled as (
    select id as spelled_id, coalesce(spelling.value, lower(email::text)) as address_here
    from "user" left join json_each_text($1::text::json) as spelling on spelling.key = lower(email::text)
  )
  select address_here as address, id, email::text as email, is_superuser, ${columnSql(found, users, 'created_at')} as created_at,
    ${items ? '(select count(*)::float8 from item where owner_id = template.id)' : '0'} as items
  from "user" as template join spelled on spelled_id = template.id
  where address_here in (select address_here from spelled group by 1 having count(*) > 1)
  order by 1, is_superuser desc, items desc, created_at nulls first, id`

const MOST_TOLD = 20
const LONGEST = 255

async function tooLong(send: Send, found: Found, carried: Carried): Promise<string[]> {
  const texts = carried.columns.filter((name) =>
    ['email', 'full_name', 'title', 'description'].includes(name),
  )
  const long = texts.map((name) => `char_length((${columnSql(found, carried, name)})::text) > ${LONGEST}`)
  const rows = await send<{ id: string }[]>(
    `select id from "${carried.from}" as template where ${long.join(' or ')} order by id limit ${MOST_TOLD}`,
  )
  return rows.map(
    ({ id }) => `${carried.from} ${id}: a text of more than ${LONGEST} characters (${texts.join(', ')})`,
  )
}
