import type { FastifyRequest } from 'fastify'

/** From where and with which program a request came, as sessions store it and mails about security name it. */
export interface Client {
  readonly ip_address: string
  readonly user_agent: string | null
}

const USER_AGENT_LENGTH = 255

export const clientOf = ({ ip, headers }: FastifyRequest): Client => ({
  ip_address: ip,
  user_agent: headers['user-agent']?.slice(0, USER_AGENT_LENGTH) ?? null,
})
