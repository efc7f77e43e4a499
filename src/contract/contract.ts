import { type Static, type TObject, type TSchema, type TUnsafe, Type } from '@sinclair/typebox'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type {
  FastifyBaseLogger,
  FastifyContextConfig,
  FastifyInstance,
  FastifySchema,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
  RouteGenericInterface,
  RouteHandlerMethod,
  RouteShorthandOptions,
} from 'fastify'
import type { ApiErrorKind } from './errors.ts'

/**
 * What route contracts are written with. A route's schemas give its types, validation, serialization and its part of
 * openapi.json.
 */

/** Name of the security scheme, as in the FastAPI template. */
export const SECURITY_SCHEME = 'OAuth2PasswordBearer'
/** That of API keys. */
export const API_KEY_SCHEME = 'ApiKey'

declare module 'fastify' {
  interface FastifySchema {
    /** Errors of the route, beyond those of its scope and its inputs. */
    errors?: readonly ApiErrorKind[]
    /** 2xx answers are a row, with its version in `ETag`. */
    versioned?: boolean
    /** Refuses a session whose user did not show recently who they are. */
    fresh?: boolean
    /** What an API key needs for it. Without one, no API key may do it. */
    permission?: string
    /** For superusers without a second factor, where SECOND_FACTOR asks for one. */
    factorless?: boolean
    /** Limit of the body in bytes; 32 KiB by default. */
    bodyLimit?: number
    /** Accepts its form as multipart/form-data, too. */
    multipart?: boolean
    /** Answers 302; where to. */
    redirects?: string
  }
}

/** The application, its routes typed by their schemas. */
export type App = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>

/**
 * Properties of requests in the signed-in and superuser scopes, and only there. Plugins add theirs to it.
 */
// oxlint-disable-next-line typescript/no-empty-object-type -- accounts/plugin.ts and ownership/plugin.ts fill it
export interface SignedIn {}

type Verb = 'get' | 'head' | 'post' | 'put' | 'patch' | 'delete' | 'options' | 'all'

type Handler<Schema extends FastifySchema> = RouteHandlerMethod<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  RouteGenericInterface,
  FastifyContextConfig,
  Schema,
  TypeBoxTypeProvider
>

type SignedInRoute = <const Schema extends FastifySchema>(
  path: string,
  options: RouteShorthandOptions<
    RawServerDefault,
    RawRequestDefaultExpression,
    RawReplyDefaultExpression,
    RouteGenericInterface,
    FastifyContextConfig,
    Schema,
    TypeBoxTypeProvider
  >,
  handler: (
    request: Parameters<Handler<Schema>>[0] & SignedIn,
    reply: Parameters<Handler<Schema>>[1],
  ) => ReturnType<Handler<Schema>>,
) => unknown

/** The application in those scopes. A function of routes that takes it is not accepted by a public scope. */
export type SignedInApp = Omit<App, Verb> & { readonly [verb in Verb]: SignedInRoute } & {
  readonly [isSignedIn]: true
}
/** Type only. */
declare const isSignedIn: unique symbol

/** Every named component of the document, by name. */
export const components = new Map<string, TSchema>()

/**
 * Declares a named component, and returns a reference to it, so that generated clients get one class of that name instead
 * of a copy wherever it is used.
 */
export function component<T extends TSchema>(name: string, schema: T): TUnsafe<Static<T>> {
  if (components.has(name)) throw new Error(`There are two components named ${name}`)
  components.set(name, { ...schema, $id: name })
  return Type.Unsafe<Static<T>>({ $ref: `${name}#` })
}

interface Operation {
  /** `<tag>-<name>`: the tag groups the operations, the name is a generated client's method. */
  operationId: string
  summary: string
  description: string
  params?: TObject
  querystring?: TObject
  headers?: TObject
  body?: TSchema
  /** Media types of the body, where not JSON. */
  consumes?: string[]
  /**
   * Accepts its form as multipart/form-data, too. Not in the document: with two media types for a body, generated clients
   * make two shapes of it, or send the other one.
   */
  multipart?: true
  /** The media type of the answer, where not JSON. */
  produces?: string[]
  /** Schemas of 2xx answers by status. */
  response: Record<number, TSchema>
  /** Errors of the route, beyond those of its scope and its inputs. */
  errors?: ApiErrorKind[]
  /** 2xx answers are a row, with its version in `ETag`. */
  versioned?: true
  /**
   * Refuses a session whose user did not show who they are within REAUTHENTICATION_MINUTES: for what a stolen access token
   * must not do. The guard of the scope does (http/scopes.ts).
   */
  fresh?: true
  /**
   * What an API key needs for it: a name and `read` or `write`. Without one, no API key may do it; nothing that is `fresh` has one.
   */
  permission?: `${string}:${'read' | 'write'}`
  /** Superusers without a second factor may do it, even where SECOND_FACTOR asks for one: how they get one. */
  factorless?: true
  /** Limit of the body in bytes; 32 KiB by default. */
  bodyLimit?: number
  /** Answers 302, for browsers; where to. */
  redirects?: string
}

/** The contract of one route, as Fastify's `schema`. */
export const operation = <const O extends Operation>(contract: O): O => contract

/** Text of at most `maxLength` code points. */
export const Text = (maxLength: number, minLength = 0, options: object = {}) =>
  Type.String({ ...(minLength > 0 && { minLength }), maxLength, ...options })

/** Text, or null. */
export const NullableText = (maxLength: number, options: object = {}) =>
  Type.Unsafe<string | null>({ type: ['string', 'null'], maxLength, ...options })

/** No example: in Swagger UI it would look like an id that exists. */
export const Id = Type.String({ format: 'uuid' })

/** @param example an address to try the operation with */
export const email = (example: string) => Text(255, 0, { format: 'email', examples: [example] })
export const Email = email('ada@example.com')

/** Formats of addresses that are in the database already: `email` in the document, and looser than that of a new one. */
export const emailFormats = { known: 'known-email', changed: 'changed-email' } as const

/** The address of an account that is looked up. One that another system stored may be longer before its @. */
export const KnownEmail = Text(255, 0, { format: emailFormats.known, examples: ['ada@example.com'] })

/** The address of an account, as it is or to be. Only what differs has to be one: see keptOrNew (accounts/address). */
export const ChangedEmail = Text(255, 0, { format: emailFormats.changed, examples: ['ada@example.com'] })

/** A new password (NIST SP 800-63B: length counts, no composition rules). */
export const NewPasswordText = Text(128, 8, { format: 'password', examples: ['correct horse battery'] })

/** A password to compare. */
export const PasswordText = Text(128, 0, { format: 'password', examples: ['correct horse battery'] })

/** A Date in the code, ISO 8601 in UTC on the wire. */
export const Time = Type.Unsafe<Date>({
  type: 'string',
  format: 'date-time',
  examples: ['2026-11-23T10:15:00.000Z'],
})

/** Headers of conditional requests (RFC 9110, section 13.1). */
export const IfNoneMatch = Type.Object({
  'If-None-Match': Type.Optional(
    Type.String({
      description: 'The `ETag` of what is known already: it is not sent again, the answer is 304.',
    }),
  ),
})
export const IfMatch = Type.Object({
  'If-Match': Type.Optional(
    Type.String({
      description:
        'The `ETag` of what is to be changed: where it was changed meanwhile, the answer is 412. One that a compressing proxy made weak is as good.',
    }),
  ),
})

/** Header of a creation that may be repeated safely. */
export const IdempotencyKey = Type.Object({
  'Idempotency-Key': Type.Optional(
    Text(255, 1, {
      pattern: '^[!-~]*$',
      description:
        'Any name for this creation, such as a UUID. Repeated within a day, nothing is created again and the answer is the first one; with another body it is 422.',
    }),
  ),
})

/** Query of a page. Validation fills in the defaults. */
const partOfList = (cursorOf: string) => ({
  skip: Type.Unsafe<number>(
    Type.Optional(
      Type.Integer({ minimum: 0, maximum: 2_147_483_647, default: 0, description: 'Rows to pass over.' }),
    ),
  ),
  limit: Type.Unsafe<number>(
    Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, default: 100, description: 'Rows at most.' })),
  ),
  cursor: Type.Optional(
    Text(4096, 1, {
      pattern: '^[A-Za-z0-9_-]*$',
      description: `The \`next_cursor\` of a page${cursorOf}, to go on from there; without \`skip\`.`,
    }),
  ),
})

/** Query of a list without search and sort. */
export const PageQuery = Type.Object(partOfList(''))

/**
 * Query of a list with search, sort and filters.
 *
 * @param searched what `q` searches, in words; undefined where there is no search
 * @param columns fields to sort by
 * @param filters further parameters by name, all optional
 */
export const listQuery = <const Column extends string>(
  searched: string | undefined,
  columns: readonly Column[],
  filters: Readonly<Record<string, TSchema>> = {},
) => {
  const others = ['`sort`', ...(searched === undefined ? [] : ['`q`'])]
  if (Object.keys(filters).length > 0) others.push('filters')
  const { skip, limit, cursor } = partOfList(
    ` with the same ${others.join(', ').replace(/, (?!.*, )/, ' and ')}`,
  )
  const q = Type.Optional(
    Text(255, 0, { description: `Only rows with this text in ${searched ?? 'them'}, whatever its case.` }),
  )
  const sort = Type.Unsafe<Column | `-${Column}`>(
    Type.Optional(
      Type.String({
        enum: columns.flatMap((column) => [column, `-${column}`]),
        default: '-created_at',
        description: 'What the rows are in the order of, `-` for descending.',
      }),
    ),
  )
  const properties = { skip, limit, q, sort, cursor }
  if (searched === undefined) delete (properties as Partial<typeof properties>).q
  return Type.Object({ ...properties, ...filters })
}

/** The answer of a list. */
export const pageOf = <T extends TSchema>(row: T) =>
  Type.Object({
    data: Type.Array(row),
    count: Type.Integer({
      description:
        "Number of rows on all pages together. Exact for your own rows. A superuser's list of everything is counted exactly up to 100,000 rows; beyond that it is PostgreSQL's estimate. What `q` finds is counted exactly in lists of up to 100,000 rows, and beyond where few match; where many do, it is an estimate.",
      examples: [1],
    }),
    next_cursor: Type.Unsafe<string | null>({
      type: ['string', 'null'],
      description:
        'Goes on with the next page, as `cursor`; null at the end. A search of a long list may stop before a page is full.',
      examples: [null],
    }),
  })

export const Message = component('Message', Type.Object({ message: Type.String() }))
export type Message = Static<typeof Message>

export const HTTPError = component(
  'HTTPError',
  Type.Object({
    detail: Type.String({ description: 'What went wrong, in words fixed by the contract.' }),
    code: Type.String({ description: 'Which error it is: a stable name for programs.' }),
  }),
)

/** Of a sign-in: an error as others, or with a challenge to show a second factor. */
export const SecondFactorAnswer = component(
  'SecondFactorRequired',
  Type.Object({
    detail: Type.String({ description: 'What went wrong, in words fixed by the contract.' }),
    code: Type.String({ description: 'Which error it is: `second_factor_required` has the other fields.' }),
    challenge: Type.Optional(Type.String({ description: 'For POST /login/second-factor.' })),
    methods: Type.Optional(Type.Array(Type.String(), { description: '`totp` and `recovery`.' })),
    expires_in: Type.Optional(Type.Integer({ description: 'Seconds that the challenge lives.' })),
  }),
)

export const ValidationError = component(
  'ValidationError',
  Type.Object({
    loc: Type.Array(Type.Union([Type.String(), Type.Integer()]), {
      description: 'Where the fault is: body, query, path or header, and the way from there.',
      examples: [['body', 'password']],
    }),
    msg: Type.String({ examples: ['String should have at least 8 characters'] }),
    type: Type.String({ examples: ['string_too_short'] }),
  }),
)
export type ValidationError = Static<typeof ValidationError>

export const HTTPValidationError = component(
  'HTTPValidationError',
  Type.Object({
    detail: Type.Array(ValidationError),
    code: Type.String({ description: 'Always `validation_error`.', examples: ['validation_error'] }),
  }),
)

export const FullName = NullableText(255, { examples: ['Ada Lovelace'] })

/** A user, without what only the service may see. */
export const UserPublic = component(
  'UserPublic',
  Type.Object({
    id: Id,
    email: Email,
    is_active: Type.Boolean({ examples: [true] }),
    is_superuser: Type.Boolean({ examples: [false] }),
    is_verified: Type.Boolean({
      description: 'Whether a link mailed to the address was used.',
      examples: [false],
    }),
    full_name: FullName,
    created_at: Time,
  }),
)
