import swagger from '@fastify/swagger'
import plugin from 'fastify-plugin'
import type { Config } from '../config.ts'
import { API_VERSION, SECURITY_SCHEME } from '../contract.ts'
import { description, documented, tags } from '../document.ts'
import { refusals } from './scopes.ts'

/** The OpenAPI document, made of the routes' schemas, scopes and errors. Served by resources/docs. */
export const openapi = plugin(
  async (app, { config }: { config: Config }) => {
    await app.register(swagger, {
      openapi: {
        openapi: '3.1.0',
        info: {
          title: config.PROJECT_NAME,
          description,
          version: API_VERSION,
          license: { name: 'MIT', identifier: 'MIT' },
        },
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
      hideUntagged: false,
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
