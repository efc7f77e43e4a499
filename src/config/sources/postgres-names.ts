type Env = Readonly<NodeJS.Dict<string>>

/**
 * An environment with a DATABASE_URL, made of its parts as the FastAPI template and its compose file name them. Where there is
 * one, the parts don't count: Kubernetes sets POSTGRES_PORT by itself (`tcp://…`) where a service is named postgres.
 */
export function withDatabaseUrl(env: Env): Env {
  const { DATABASE_URL, POSTGRES_SERVER, POSTGRES_PORT, POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB } = env
  if (DATABASE_URL !== undefined || POSTGRES_SERVER === undefined) return env
  const user = encodeURIComponent(POSTGRES_USER ?? 'postgres')
  const password = POSTGRES_PASSWORD === undefined ? '' : `:${encodeURIComponent(POSTGRES_PASSWORD)}`
  const host = POSTGRES_SERVER.includes(':') ? `[${POSTGRES_SERVER}]` : encodeURIComponent(POSTGRES_SERVER)
  const name = encodeURIComponent(POSTGRES_DB ?? POSTGRES_USER ?? 'postgres')
  return {
    ...env,
    DATABASE_URL: `postgresql://${user}${password}@${host}:${POSTGRES_PORT ?? '5432'}/${name}`,
  }
}
