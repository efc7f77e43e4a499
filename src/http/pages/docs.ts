import type { App } from '../../contract/contract.ts'

const hide = { hide: true }

/** Swagger UI at /docs, a redirect from `/`, and openapi.json. */
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
      // The plugin's own redirect leaves the path of PUBLIC_URL, and loops with a query.
      onRequest: (request, reply, next) =>
        request.routeOptions.url === `${page}/static/index.html`
          ? reply.redirect(`${publicPath}${page}/`)
          : next(),
    },
    staticCSP: true,
    // upgrade-insecure-requests would break plain HTTP on other hosts than localhost.
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
