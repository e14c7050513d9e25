/** Endpoints: `host:port` or `[IPv6]:port`, where a host is an address or a DNS name. */
import { isIP, isIPv6 } from 'node:net'

export type Endpoint = {
  /** IP address (IPv6 without brackets) or DNS name. */
  readonly host: string
  readonly port: number
}

/** RFC 1123 section 2.1 labels, at most 253 characters in all (RFC 1035 section 2.3.4). */
const hostname =
  /^(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i

/** Parses one endpoint; undefined when the text is none. */
export function parseEndpoint(text: string): Endpoint | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text)
  if (match === null) return undefined
  const [, bracketed, bare, portText] = match
  const port = Number(portText)
  const host = bracketed ?? bare ?? ''
  if (port < 1 || port > 65535) return undefined
  if (bracketed !== undefined) return isIPv6(host) ? { host, port } : undefined
  // Four numbers that are no IPv4 address are a typing error, not a name.
  const plausible = isIP(host) === 4 || (hostname.test(host) && !/^[\d.]+$/.test(host))
  return plausible ? { host, port } : undefined
}

/** Whether the host is an address, so that nothing needs to be resolved. */
export function isLiteral(endpoint: Endpoint): boolean {
  return isIP(endpoint.host) !== 0
}

/** `ip:port` or `[ip]:port`, the form that `parseEndpoint` reads. */
export function formatEndpoint({ host, port }: Endpoint): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
