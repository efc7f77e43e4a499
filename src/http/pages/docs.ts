import type { App } from '../../contract/contract.ts'

const hide = { hide: true }

/** Swagger UI at /docs, where `/` leads, and the document that it shows. */
export async function docs(app: App) {
  const { PROJECT_NAME: title, publicPath } = app.config
  const page = '/docs'
  app.get('/', { schema: hide }, (_request, reply) => reply.redirect(publicPath + page))
  app.get('/api/v1/openapi.json', { schema: hide }, () => app.swagger())
  const { default: swaggerUi } = await import('@fastify/swagger-ui')
  await app.register(swaggerUi, {
    routePrefix: page,
    indexPrefix: publicPath,
    uiHooks: {
      // Its own redirect leads out of the path of PUBLIC_URL, and with a query to itself.
      onRequest: (request, reply, next) =>
        request.routeOptions.url === `${page}/static/index.html`
          ? reply.redirect(`${publicPath}${page}/`)
          : next(),
    },
    staticCSP: true,
    // It would turn plain HTTP off localhost into HTTPS, which is not there.
    transformStaticCSP: (policy) => policy.replace(/(?<!\s)\s*upgrade-insecure-requests;?/, ''),
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
