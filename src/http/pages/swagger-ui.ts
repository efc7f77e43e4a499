import type { FastifySwaggerUiOptions } from '@fastify/swagger-ui'

/** What is added to Swagger UI: colors of the system's preference, and the reason why Authorize failed. */

/** Swagger UI has dark colors of its own, for a class that only its top bar would set. */
const colors = `
const dark = matchMedia('(prefers-color-scheme: dark)')
const apply = () => document.documentElement.classList.toggle('dark-mode', dark.matches)
dark.addEventListener('change', apply)
apply()
`

/** Authorize opens at the form of people, and not at that of API keys, which comes last and takes the focus. */
const focus = `
document.addEventListener('click', ({ target }) => {
  if (target.closest('.btn.authorize')) requestAnimationFrame(() => document.getElementById('oauth_username')?.focus())
})
`

/** The page around Swagger UI, which would stay light; and no link to its copy of the document. */
const stylesheet = `
html.dark-mode body { background: #1c2022; }
.swagger-ui .info hgroup.main a.link { display: none; }
`

export const theme = {
  css: [{ filename: 'colors.css', content: stylesheet }],
  js: [
    { filename: 'colors.js', content: colors },
    { filename: 'focus.js', content: focus },
  ],
}

/**
 * Authorize shows the status text of a failed sign-in (`Error: Bad Request`): here it is the error's own text. The
 * plugin sends the source of these functions to the browser, so they use nothing around them.
 */
export const authorizeErrors: NonNullable<FastifySwaggerUiOptions['uiConfig']> = {
  responseInterceptor: (response) => {
    // Typed as fetch's response; it is Swagger UI's, with the body parsed.
    const { ok, url, body } = response as unknown as SwaggerResponse
    return !ok && url.endsWith('/login/access-token') && typeof body?.detail === 'string'
      ? { ...response, statusText: body.detail }
      : response
  },
  plugins: [
    () => ({
      statePlugins: {
        err: {
          wrapActions: {
            // A method, as tsx wraps named arrow functions in a helper, which the browser does not have.
            newAuthErr(show: (error: AuthError) => unknown) {
              return (error: AuthError) => show({ ...error, message: error.message.replace(/^Error: /, '') })
            },
          },
        },
      },
    }),
  ],
}

interface SwaggerResponse {
  readonly ok: boolean
  readonly url: string
  readonly body?: { readonly detail?: unknown }
}

interface AuthError {
  readonly message: string
}
