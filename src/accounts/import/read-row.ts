import { isUtf8 } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { isTime } from '../../database/columns.ts'
import { isEmail, readEmail, unicodeForm } from '../../text/email-address.ts'
import { type ReadHash, readHash } from './read-hash.ts'

/** Bytes of a line. */
export const LONGEST_LINE = 16 * 1024

const nullable = <T extends TSchema>(type: T) => Type.Optional(Type.Union([type, Type.Null()]))

const Row = Type.Object(
  {
    id: nullable(Type.String()),
    email: Type.String(),
    full_name: nullable(Type.String()),
    is_verified: Type.Optional(Type.Boolean()),
    is_active: Type.Optional(Type.Boolean()),
    created_at: nullable(Type.String()),
    hashed_password: nullable(Type.String()),
  },
  { additionalProperties: false },
)

/** A user as a line of the file has it. */
export interface ImportedUser {
  readonly line: number
  readonly id: string
  readonly email: string
  /** The same with its domain in Unicode, where a row that came from another system may have it so. */
  readonly other_spelling: string | undefined
  readonly full_name: string | null | undefined
  readonly is_verified: boolean
  readonly is_active: boolean
  /** Null: now. */
  readonly created_at: string | null | undefined
  readonly hash: Exclude<ReadHash, { fault: string }>
}

/** What is wrong with a line, by field. Never its values: they may be secrets. */
export class RowFaults {
  readonly faults: readonly string[]
  constructor(...faults: string[]) {
    this.faults = faults
  }
}

/**
 * Reads a line of the file that users are imported from.
 *
 * @param bytes undefined: longer than LONGEST_LINE
 */
export function readRow(line: number, bytes: Buffer | undefined): ImportedUser | RowFaults {
  if (bytes === undefined) return new RowFaults(`longer than ${LONGEST_LINE} bytes`)
  if (!isUtf8(bytes)) return new RowFaults('not UTF-8')
  const row = parsed(bytes.toString())
  if (!Value.Check(Row, row)) return new RowFaults(...shapeFaults(row))

  const email = readEmail(row.email)
  const hash = readHash(row.hashed_password)
  const faults = [...valueFaults(row, email), ...('fault' in hash ? [`hashed_password: ${hash.fault}`] : [])]
  if (faults.length > 0 || 'fault' in hash) return new RowFaults(...faults)
  const { id, full_name, is_verified = false, is_active = true, created_at } = row
  const other_spelling = unicodeForm(email)
  return {
    line,
    id: id ?? randomUUID(),
    email,
    other_spelling,
    full_name,
    is_verified,
    is_active,
    created_at,
    hash,
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, '')) // some editors begin a file with it
  } catch {
    return undefined
  }
}

/** As many as a person would read. */
const MOST_FAULTS = 5

function shapeFaults(row: unknown): string[] {
  if (typeof row !== 'object' || row === null || Array.isArray(row)) return ['not a JSON object']
  const fields = new Set<string>()
  for (const { path } of Value.Errors(Row, row)) {
    fields.add(path.slice(1, 50))
    if (fields.size === MOST_FAULTS) break
  }
  return [...fields].map((field) => `${printable(field)}: ${faultOf(field, row)}`)
}

/** The report is read in a terminal, and names come from the file. */
const printable = (name: string) => name.replaceAll(/[^ -~]/g, '?')

function faultOf(field: string, row: object): string {
  if (!Object.hasOwn(Row.properties, field)) return 'no field of a user'
  if (!Object.hasOwn(row, field)) return 'missing'
  return Row.properties[field as keyof typeof Row.properties].type === 'boolean'
    ? 'not true or false'
    : 'not text'
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
const TIME = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)$/i
const LONGEST = 255

function valueFaults({ id, full_name, created_at }: Static<typeof Row>, email: string): string[] {
  const checks = [
    [!isEmail(email) || email.length > LONGEST, 'email: not an email address'],
    [typeof id === 'string' && !UUID.test(id), 'id: not a UUID'],
    [
      typeof full_name === 'string' && !isName(full_name),
      'full_name: longer than 255 characters, or no text',
    ],
    [
      typeof created_at === 'string' && !(TIME.test(created_at) && isTime(created_at)),
      'created_at: not a time with its offset, as in 2026-11-30T09:00:00Z',
    ],
  ] as const
  return checks.filter(([isWrong]) => isWrong).map(([, fault]) => fault)
}

const isName = (text: string) => [...text].length <= LONGEST && !text.includes('\0') && text.isWellFormed()
