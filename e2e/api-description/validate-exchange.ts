import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Ajv, type ValidateFunction } from 'ajv'
import addFormats from 'ajv-formats'
import type { Exchange } from '../../main/lab/index.ts'

type Json = Record<string, unknown>
type Service = Exchange['service']

const files: Record<Service, string> = {
  'local-api': '../../../shared/reference/edge-local-api.json',
  console: '../../../shared/reference/palette-system-api.json',
}

/** The vendor's description of one API, ready to judge with. */
interface Description {
  paths: Record<string, Json>
  compile: (schema: Json) => ValidateFunction
}

export interface ApiDescription {
  /**
   * Every way in which a request or its answer differs from the vendor's description; empty when it fits. Unknown
   * paths, methods, status codes, query parameters and properties are differences.
   *
   * Accepted although the descriptions do not have it (each was seen in the field or follows from the prose):
   * - `POST /v1/auth/syslogin` (palette.md §7.5: in the prose, absent from the file);
   * - 401 with the error shape on operations that need a session;
   * - 503 with the error shape on every operation ("temporarily unavailable" while the agent restarts);
   * - 404 with the error shape on `/v1/edge-mgmt/network/…`: agents that do not have these paths yet;
   * - console: every status from 400 on with the error shape, because its file only lists success;
   * - console: the web page, and 404 or 405 as HTML under `/v1` while only the web page answers.
   */
  validateExchange: (exchange: Exchange) => string[]
}

/**
 * Reads the vendor's descriptions, which lie beside the project and are not part of it. `undefined` when they are not
 * there; tests then say that they were skipped.
 */
export function loadApiDescription(): ApiDescription | undefined {
  const places = Object.entries(files).map(
    ([service, file]) => [service, fileURLToPath(new URL(file, import.meta.url))] as const,
  )
  if (places.some(([, place]) => !existsSync(place))) return undefined
  const descriptions = new Map(
    places.map(([service, place]) => [service, prepare(JSON.parse(readFileSync(place, 'utf8')) as Json)]),
  )
  return {
    validateExchange: (exchange) => {
      const description = descriptions.get(exchange.service)
      return description === undefined
        ? [`unknown service ${exchange.service}`]
        : judge(exchange, description)
    },
  }
}

function prepare(document: Json): Description {
  const ajv = new Ajv({ strict: false, allErrors: true })
  // ajv-formats is CommonJS: under NodeNext its default export is the module.
  addFormats.default(ajv)
  for (const format of ['password', 'int32', 'int64', 'float', 'double', 'byte', 'binary'])
    ajv.addFormat(format, true)
  const definitions = Object.entries(document['definitions'] as Json)
  ajv.addSchema({
    $id: 'vendor',
    definitions: Object.fromEntries(definitions.map(([name, one]) => [name, strict(one)])),
  })
  const compiled = new Map<string, ValidateFunction>()
  return {
    paths: document['paths'] as Record<string, Json>,
    compile: (schema) => {
      const key = JSON.stringify(schema)
      const known = compiled.get(key) ?? ajv.compile(strict(schema) as Json)
      compiled.set(key, known)
      return known
    },
  }
}

/** Swagger 2.0 schema to JSON Schema, closed: an object that declares properties has no others. */
function strict(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(strict)
  if (typeof schema !== 'object' || schema === null) return schema
  const source = schema as Json
  // Swagger ignores what stands beside a reference.
  if (typeof source['$ref'] === 'string') return { $ref: source['$ref'].replace('#/', 'vendor#/') }
  const result: Json = {}
  for (const [key, value] of Object.entries(source)) {
    if (key === 'properties') {
      result[key] = Object.fromEntries(
        Object.entries(value as Json).map(([name, inner]) => [name, strict(inner)]),
      )
    } else if (key === 'items' || key === 'additionalProperties' || key === 'allOf')
      result[key] = strict(value)
    else if (!key.startsWith('x-') && key !== 'example' && key !== 'default' && key !== 'discriminator')
      result[key] = value
  }
  const hasType = typeof result['type'] === 'string'
  if (!hasType && 'properties' in result) result['type'] = 'object'
  if ('properties' in result && !('additionalProperties' in result)) result['additionalProperties'] = false
  if (source['x-nullable'] === true && typeof result['type'] === 'string') {
    result['type'] = [result['type'], 'null']
    if (Array.isArray(result['enum'])) result['enum'] = [...(result['enum'] as unknown[]), null]
  }
  return result
}

const errorShape: Json = {
  type: 'object',
  required: ['code', 'message'],
  additionalProperties: false,
  properties: {
    code: { type: 'string' },
    message: { type: 'string' },
    details: { type: 'object' },
    ref: { type: 'string' },
  },
}

function judge(exchange: Exchange, { paths, compile }: Description): string[] {
  const place = `${exchange.method} ${exchange.path}`
  if (exchange.service === 'console') {
    const isPage = !exchange.path.startsWith('/v1/')
    if (isPage && exchange.method === 'GET' && exchange.contentType.startsWith('text/html')) return []
    if ([404, 405].includes(exchange.status) && exchange.contentType === 'text/html') return []
    if (place === 'POST /v1/auth/syslogin') return []
  }
  const isKnownException = (status: number, operation: Json | null) =>
    status === 503 ||
    (status === 401 && operation !== null && 'security' in operation) ||
    (status === 404 && exchange.path.startsWith('/v1/edge-mgmt/network/')) ||
    (exchange.service === 'console' && status >= 400)
  const found = findOperation(paths, exchange)
  if ('problem' in found) return [`${place}: ${found.problem}`]
  const { operation, parameters, params } = found

  const problems: string[] = []
  const check = (what: string, schema: Json, value: unknown) => {
    const validate = compile(schema)
    if (validate(value)) return
    for (const error of validate.errors ?? []) {
      const extra =
        error.keyword === 'additionalProperties' ? ` (${String(error.params['additionalProperty'])})` : ''
      problems.push(`${place}: ${what}${error.instancePath} ${error.message ?? ''}${extra}`)
    }
  }
  // A request that was refused as malformed may be malformed.
  const isRefused = exchange.status >= 400
  if (!isRefused) judgeRequest(exchange, parameters, params, check, problems, place)

  // The connection was cut: there is no answer to judge.
  if (exchange.status === 0) return problems
  const responses = operation['responses'] as Record<string, Json>
  const response = responses[String(exchange.status)]
  if (response === undefined && isKnownException(exchange.status, operation)) {
    check('answer', errorShape, exchange.responseBody)
    return problems
  }
  const answer = response ?? responses['default']
  if (answer === undefined) return [...problems, `${place}: status ${exchange.status} is not described`]
  const schema = answer['schema'] as Json | undefined
  if (schema === undefined) {
    if (exchange.responseBody !== undefined)
      problems.push(`${place}: no body is described for ${exchange.status}`)
  } else if (exchange.status === 204) {
    if (exchange.responseBody !== undefined) problems.push(`${place}: 204 has a body`)
  } else if (schema['type'] === 'file') {
    const produces = (operation['produces'] ?? []) as string[]
    if (!produces.includes(exchange.contentType))
      problems.push(`${place}: ${exchange.contentType} is not described`)
  } else {
    if (exchange.contentType !== 'application/json')
      problems.push(`${place}: the answer is ${exchange.contentType}, not JSON`)
    else check('answer', schema, exchange.responseBody)
  }
  return problems
}

function judgeRequest(
  exchange: Exchange,
  parameters: readonly Json[],
  params: Record<string, string>,
  check: (what: string, schema: Json, value: unknown) => void,
  problems: string[],
  place: string,
): void {
  const of = (where: string) => parameters.filter((one) => one['in'] === where)
  for (const [name, value] of Object.entries(exchange.query)) {
    const parameter = of('query').find((one) => one['name'] === name)
    if (parameter === undefined) problems.push(`${place}: unknown query parameter ${name}`)
    else check(`query ${name}`, { type: parameter['type'] }, plain(value, parameter['type']))
  }
  for (const parameter of parameters) {
    const name = String(parameter['name'])
    if (parameter['required'] !== true) continue
    const isThere =
      parameter['in'] === 'query'
        ? name in exchange.query
        : parameter['in'] === 'path'
          ? (params[name] ?? '') !== ''
          : parameter['in'] === 'body'
            ? exchange.requestBody !== undefined
            : parameter['in'] === 'formData'
              ? typeof exchange.requestBody === 'object' &&
                exchange.requestBody !== null &&
                name in exchange.requestBody
              : name.toLowerCase() in exchange.requestHeaders
    if (!isThere) problems.push(`${place}: required ${String(parameter['in'])} parameter ${name} is missing`)
  }
  const [body] = of('body')
  if (body !== undefined) {
    if (exchange.requestBody !== undefined) check('request', body['schema'] as Json, exchange.requestBody)
  } else if (of('formData').length > 0) {
    for (const name of Object.keys(exchange.requestBody ?? {})) {
      if (!of('formData').some((one) => one['name'] === name))
        problems.push(`${place}: unknown form field ${name}`)
    }
  } else if (exchange.requestBody !== undefined) problems.push(`${place}: no request body is described`)
}

function plain(value: string, type: unknown): unknown {
  if (type === 'boolean') return value === 'true' ? true : value === 'false' ? false : value
  if (type === 'integer' || type === 'number') return value.trim() === '' ? value : Number(value)
  return value
}

function findOperation(
  paths: Record<string, Json>,
  exchange: Exchange,
): { operation: Json; parameters: Json[]; params: Record<string, string> } | { problem: string } {
  const given = exchange.path.split('/')
  let best: { item: Json; params: Record<string, string> } | null = null
  for (const [template, item] of Object.entries(paths)) {
    const wanted = template.split('/')
    if (wanted.length !== given.length) continue
    const params: Record<string, string> = {}
    const fits = wanted.every((segment, index) => {
      const value = given[index] ?? ''
      if (!segment.startsWith('{')) return segment === value
      params[segment.slice(1, -1)] = decodeURIComponent(value)
      return value !== ''
    })
    // A literal path wins over a template.
    if (fits && (best === null || Object.keys(params).length < Object.keys(best.params).length))
      best = { item, params }
  }
  if (best === null) return { problem: 'the path is not described' }
  const operation = best.item[exchange.method.toLowerCase()] as Json | undefined
  if (operation === undefined) return { problem: 'the method is not described' }
  const shared = (best.item['parameters'] ?? []) as Json[]
  return {
    operation,
    parameters: [...shared, ...((operation['parameters'] ?? []) as Json[])],
    params: best.params,
  }
}
