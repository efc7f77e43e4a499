import type { App } from '../../contract/contract.ts'
import { serverAt } from '../openapi.ts'
import { authorizeErrors, theme } from './swagger-ui.ts'

const hide = { hide: true }

/** Swagger UI at /docs, a redirect from `/` where no frontend is there, and openapi.json. */
export async function docs(app: App) {
  const { PROJECT_NAME: title, publicPath, mail, FRONTEND_DIR } = app.config
  const page = '/docs'
  const document = '/api/v1/openapi.json'
  const links = { 'openapi.json': document, ...(mail === 'inbox' && { 'Inbox of mails': '/inbox' }) }
  if (FRONTEND_DIR === undefined)
    app.get('/', { schema: hide }, (_request, reply) => reply.redirect(publicPath + page))
  app.get(document, { schema: hide }, () => app.swagger())
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
    theme: { title, ...theme },
    // The page calls the origin that it came from, as its policy lets it call no other.
    transformSpecification: ({ info, ...rest }) => ({
      ...rest,
      info: { ...info, description: `${markdownOf(links, publicPath)}\n\n${info.description}` },
      servers: [serverAt(publicPath || '/')],
    }),
    transformSpecificationClone: false,
    uiConfig: {
      ...authorizeErrors,
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

const markdownOf = (links: Record<string, string>, prefix: string) =>
  Object.entries(links)
    .map(([text, path]) => `[${text}](<${prefix}${path}>)`)
    .join(' · ')
