import { isDeepStrictEqual } from 'node:util'
import plugin from 'fastify-plugin'
import type { OpenAPIV3_1 } from 'openapi-types'
import type { Config } from '../config/config.ts'
import { buildInfo } from '../config/build-info.ts'
import { API_KEY_SCHEME, SECURITY_SCHEME, emailFormats } from '../contract/contract.ts'
import { type Tag, description, documented, tagsWith } from '../contract/document.ts'
import { isLoopbackUrl } from '../text/text-values.ts'
import { refusals } from './scopes.ts'

/** Makes the OpenAPI document of the routes' schemas, scopes and errors; pages/docs.ts serves it. */
export const openapi = plugin(
  async (app, { config, tags }: { config: Config; tags: readonly Tag[] }) => {
    if (!config.DOCS_ENABLED) return
    const { default: swagger } = await import('@fastify/swagger')
    await app.register(swagger, {
      openapi: {
        openapi: '3.1.0',
        info: {
          title: config.PROJECT_NAME,
          description,
          version: buildInfo.version,
          contact: { name: config.PROJECT_NAME },
          license: { name: 'MIT', url: 'https://opensource.org/license/mit' },
        },
        servers: [serverAt(serverUrl(config))],
        tags: tagsWith(tags).filter(({ name }) => name !== 'private' || config.ENVIRONMENT === 'local'),
        components: {
          securitySchemes: {
            [SECURITY_SCHEME]: {
              type: 'oauth2',
              description:
                'An address and a password give an access token. `refreshUrl` takes the refresh token as JSON, and not as a form.',
              flows: {
                password: {
                  tokenUrl: `${config.publicPath}/api/v1/login/access-token`,
                  refreshUrl: `${config.publicPath}/api/v1/login/refresh-token`,
                  scopes: {},
                },
              },
            },
            [API_KEY_SCHEME]: {
              type: 'http',
              scheme: 'bearer',
              description:
                'An API key (POST /users/me/api-keys) in place of an access token: `Authorization: Bearer gw_…`. Each operation that takes one names the permission that it needs, as `x-permission`.',
            },
          },
        },
      },
      refResolver: {
        buildLocalReference: ({ $id }, _base, _fragment, index) =>
          typeof $id === 'string' ? $id : `def-${index}`,
      },
      transformObject: (document) =>
        withSharedErrors(
          withoutDefaultsOfChanges(
            withKnownFormats(
              withoutUnused((document as { openapiObject: OpenAPIV3_1.Document }).openapiObject),
            ),
          ),
        ),
      transform: ({ schema, url, route }) => ({
        schema: schema?.operationId
          ? documented(schema, refusals[route.config?.access ?? 'public'])
          : { hide: true },
        url,
      }),
    })
  },
  { name: 'openapi', dependencies: ['validation'] },
)

/** An entry of `servers`. */
export const serverAt = (url: string) => ({ url, description: 'Where this document came from.' })

/**
 * PUBLIC_URL, for clients that are generated elsewhere. A loopback address is another machine there, so that only its
 * path is given: it is relative to where the document came from.
 */
const serverUrl = ({ PUBLIC_URL, publicPath }: Config) =>
  PUBLIC_URL === undefined || isLoopbackUrl(PUBLIC_URL)
    ? publicPath || '/'
    : new URL(PUBLIC_URL).origin + publicPath

/** Leaves out components that no route uses (/private outside local). */
function withoutUnused(document: OpenAPIV3_1.Document) {
  const schemas = document.components?.schemas ?? {}
  const names = new Set<string>()
  const collect = (part: unknown): void => {
    for (const [, name] of JSON.stringify(part).matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
      if (name === undefined || names.has(name)) continue
      names.add(name)
      collect(schemas[name])
    }
  }
  collect(document.paths ?? {})
  const used = Object.fromEntries(Object.entries(schemas).filter(([name]) => names.has(name)))
  return { ...document, components: { ...document.components, schemas: used } }
}

/** The service's own formats of addresses are `email`, which generated clients know. */
function withKnownFormats(document: OpenAPIV3_1.Document) {
  let text = JSON.stringify(document)
  for (const format of Object.values(emailFormats))
    text = text.replaceAll(`"format":"${format}"`, '"format":"email"')
  return JSON.parse(text) as OpenAPIV3_1.Document
}

/** Removes defaults from bodies of PUT and PATCH: generated clients would send them and overwrite what was not meant. */
function withoutDefaultsOfChanges(document: OpenAPIV3_1.Document) {
  const operations = Object.values(document.paths ?? {}).flatMap((path) => Object.entries(path ?? {}))
  const changes: unknown[] = []
  const others: unknown[] = []
  for (const [method, operation] of operations) {
    const { requestBody, ...rest } = operation as OpenAPIV3_1.OperationObject
    ;(method === 'put' || method === 'patch' ? changes : others).push(requestBody)
    others.push(rest)
  }
  const elsewhere = JSON.stringify([others, document.components?.schemas])
  for (const [, name] of JSON.stringify(changes).matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
    if (name === undefined || elsewhere.includes(`"#/components/schemas/${name}"`)) continue
    const schema = document.components?.schemas?.[name] as OpenAPIV3_1.SchemaObject
    for (const property of Object.values(schema.properties ?? {}))
      delete (property as { default?: unknown }).default
  }
  return document
}

/** Error answers stand once, among the components, and are named by their codes: `PayloadTooLarge`. */
function withSharedErrors(document: OpenAPIV3_1.Document) {
  const shared: Record<string, OpenAPIV3_1.ResponseObject> = {}
  const operations = Object.values(document.paths ?? {}).flatMap((path) => Object.values(path ?? {}))
  for (const { responses = {} } of operations as OpenAPIV3_1.OperationObject[])
    for (const [status, answer] of Object.entries(responses) as [string, OpenAPIV3_1.ResponseObject][]) {
      const codes = Object.keys(answer.content?.['application/json']?.examples ?? {})
      // A name of more than two would be hard to read, and few operations share such an answer.
      if (Number(status) < 400 || codes.length === 0 || codes.length > 2) continue
      const name = codes.map(inPascalCase).join('Or')
      shared[name] ??= answer
      // The same code may stand for another text.
      if (isDeepStrictEqual(shared[name], answer))
        responses[status] = { $ref: `#/components/responses/${name}` }
    }
  return { ...document, components: { ...document.components, responses: shared } }
}

const inPascalCase = (code: string) =>
  code.replaceAll(/(?:^|_)(\w)/g, (_, letter: string) => letter.toUpperCase())
