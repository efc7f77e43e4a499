import type { App } from '../../contract.ts'

const hide = { hide: true }

/** Swagger UI at /docs, where `/` leads, and the document that it shows. */
export const docs = (title: string) => async (app: App) => {
  app.get('/', { schema: hide }, (_request, reply) => reply.redirect('/docs'))
  app.get('/api/v1/openapi.json', { schema: hide }, () => app.swagger())
  const { default: swaggerUi } = await import('@fastify/swagger-ui')
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: true,
    // It would turn plain HTTP off localhost into HTTPS, which is not there.
    transformStaticCSP: (policy) => policy.replace(/\s*upgrade-insecure-requests;?/, ''),
    theme: { title },
    uiConfig: {
      layout: 'BaseLayout',
      deepLinking: true,
      persistAuthorization: true,
      displayRequestDuration: true,
      filter: true,
      tryItOutEnabled: true,
      docExpansion: 'list',
      defaultModelsExpandDepth: 0,
    },
    initOAuth: {},
  })
}
