import plugin from 'fastify-plugin'
import type { OpenAPIV3_1 } from 'openapi-types'
import type { Config } from '../config.ts'
import { API_VERSION, SECURITY_SCHEME } from '../contract.ts'
import { description, documented, tags } from '../document.ts'
import { refusals } from './scopes.ts'

/** The OpenAPI document, made of the routes' schemas, scopes and errors, where resources/docs serves it. */
export const openapi = plugin(
  async (app, { config }: { config: Config }) => {
    if (!config.DOCS_ENABLED) return
    const { default: swagger } = await import('@fastify/swagger')
    await app.register(swagger, {
      openapi: {
        openapi: '3.1.0',
        info: {
          title: config.PROJECT_NAME,
          description,
          version: API_VERSION,
          contact: { name: config.PROJECT_NAME },
          license: { name: 'MIT', url: 'https://opensource.org/license/mit' },
        },
        servers: [{ url: '/', description: 'Where this document came from.' }],
        tags: tags.filter(({ name }) => name !== 'private' || config.ENVIRONMENT === 'local'),
        components: {
          securitySchemes: {
            [SECURITY_SCHEME]: {
              type: 'oauth2',
              description: 'An address and a password give an access token.',
              flows: { password: { tokenUrl: '/api/v1/login/access-token', scopes: {} } },
            },
          },
        },
      },
      refResolver: {
        buildLocalReference: ({ $id }, _base, _fragment, index) =>
          typeof $id === 'string' ? $id : `def-${index}`,
      },
      transformObject: (document) =>
        withoutUnused((document as { openapiObject: OpenAPIV3_1.Document }).openapiObject),
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

/** The components of resources that are not there (/private outside local) are not in the document either. */
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
