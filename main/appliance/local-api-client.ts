import type { z } from 'zod'
import { AppError } from '../../shared/errors/index.ts'
import type { Clock } from '../engine/clock.ts'
import type { CertificatePin } from '../network/certificate.ts'
import type { Dialler, Endpoint } from '../network/dialler.ts'
import {
  createHttpClient,
  messageOfAnswer,
  redact,
  type HttpAnswer,
  type HttpClientOptions,
  type HttpRequest,
} from '../network/http-client.ts'
import { multipartBody } from '../network/multipart.ts'
import { endpointText } from '../network/network-error.ts'
import { createSessionKeeper, type SessionToken } from '../network/session-keeper.ts'
import {
  readLoginRefusal,
  type ChangeOutcome,
  type Credentials,
  type LoginOutcome,
} from '../network/session.ts'
import { checkedChunks, type ContentUpload } from './content-upload.ts'
import {
  acceptedSchema,
  archiveDetailsSchema,
  clusterApplicationsSchema,
  clusterConfigurationSchema,
  clusterDetailsSchema,
  clusterNodesSchema,
  contentSigningKeySchema,
  currentUserSchema,
  edgeHostSchema,
  eventsSchema,
  hostConfigurationStatusSchema,
  hostConfigurationsSchema,
  lifecycleEventsSchema,
  linkStatusSchema,
  linkTokenSchema,
  loginSchema,
  managementInterfaceSchema,
  networkInterfacesSchema,
  pingSchema,
  registryContentSchema,
  registryHealthSchema,
  registrySyncStatusSchema,
  renewalSchema,
  settingsSchema,
  uploadResultSchema,
  uploadedContentSchema,
  variableValidationSchema,
  type ArchiveDetails,
  type ClusterApplications,
  type ClusterConfiguration,
  type ClusterDetails,
  type ClusterEvents,
  type ClusterNodes,
  type ContentSigningKey,
  type CurrentUser,
  type EdgeHost,
  type HostConfigurationStatus,
  type HostConfigurations,
  type LifecycleEvents,
  type LinkStatus,
  type LinkToken,
  type LocalSettings,
  type ManagementInterface,
  type NetworkInterface,
  type NetworkInterfaceConfig,
  type RegistryContent,
  type RegistryHealth,
  type RegistrySyncStatus,
  type UploadResult,
  type UploadedContent,
  type VariableValidation,
  type VariableValue,
} from './local-api-schemas.ts'

export interface LocalApiClientOptions extends Pick<
  HttpClientOptions,
  'maxAnswerBytes' | 'connectMilliseconds' | 'headersMilliseconds'
> {
  /** The node and its Local UI port, usually 5080. */
  endpoint: Endpoint
  pin: CertificatePin
  dialler: Dialler
  /** Measures the age of the session. */
  clock: Clock
  /** Name of the node as in the plan. */
  node: string
}

interface CallOptions {
  signal?: AbortSignal | undefined
}

/** What an older agent may lack: the network API came later (palette.md §7.3). */
export type Supported<Value extends object> = ({ kind: 'supported' } & Value) | { kind: 'unsupported' }

/**
 * One node's Local UI API ("Local Management APIs" v1, palette.md §7.2 and §7.3).
 *
 * Every method makes one request (plus, rarely, the renewal of the session), never repeats it, and throws AppErrors:
 * network errors, `TIMEOUT`, `BAD_ANSWER`, `SERVER_ERROR` and `TOO_MANY_REQUESTS` are transient, all others are not.
 * Aborting rejects with the signal's reason.
 */
export interface LocalApiClient {
  readonly node: string
  readonly endpoint: Endpoint
  /** `GET /v1/ping`, without a session. Resolves with what the agent says; throws when there is no proper answer. */
  ping(options?: CallOptions): Promise<{ msg: string | undefined }>
  /**
   * `POST /v1/users/default/login`. Exactly one attempt. Throws `LOGIN_ALREADY_REFUSED` (permanent, nothing is sent)
   * for a password that this client saw refused before.
   *
   * Afterwards the session renews itself (`POST /v1/users/default/token/renewal`) before its 2 h are over. If the
   * agent forgets the session (a reboot does that), the client logs in again by itself, once per occasion, and only
   * with this password, because the agent accepted it; after a refusal never again.
   */
  login(credentials: Credentials, options?: CallOptions): Promise<LoginOutcome<{ isFirstLogin: boolean }>>
  /** `POST /v1/users/default/logout`, and the client forgets token and password. An ended session is no error. */
  logout(options?: CallOptions): Promise<void>
  /**
   * `POST /v1/users/default/password/reset`. It is the password of the OS user, hence of SSH too. After `changed` the
   * client has forgotten session and password: log in with the new one.
   */
  changePassword(oldPassword: string, newPassword: string, options?: CallOptions): Promise<ChangeOutcome>
  /** `GET /v1/users/current` */
  currentUser(options?: CallOptions): Promise<CurrentUser>
  /** `GET /v1/edge-mgmt/settings` */
  settings(options?: CallOptions): Promise<LocalSettings>
  /** `GET /v1/edge-mgmt/edgehosts/current` */
  edgeHost(options?: CallOptions): Promise<EdgeHost>
  /** `GET /v1/edge-mgmt/edgehosts/current/configurations` */
  configurations(options?: CallOptions): Promise<HostConfigurations>
  /** `PUT /v1/edge-mgmt/edgehosts/current/configurations` */
  setConfigurations(configurations: Partial<HostConfigurations>, options?: CallOptions): Promise<void>
  /** `GET /v1/edge-mgmt/edgehosts/current/configurations/status` */
  configurationStatus(options?: CallOptions): Promise<HostConfigurationStatus>
  /** `POST /v1/edge-mgmt/edgehosts/current/link/generate-token`, on the leader. The token is a secret. */
  generateLinkToken(options?: CallOptions): Promise<LinkToken>
  /** `POST /v1/edge-mgmt/edgehosts/current/link`, on the follower. A bad or expired token is `REQUEST_REFUSED`. */
  link(token: string, options?: CallOptions): Promise<LinkStatus>
  /** `GET /v1/edge-mgmt/edgehosts/current/link/status`; `undefined`: not linked. */
  linkStatus(options?: CallOptions): Promise<LinkStatus | undefined>
  /**
   * `POST /v1/edge-mgmt/edgehosts/current/actions/upload-content`: multipart, streamed from the source at the pace of
   * the network. Also throws `UPLOAD_STALLED` (transient), `FILE_CHANGED`, `FILE_NOT_READABLE`,
   * `CONTENT_NOT_VERIFIABLE` (the image has no key for the content or the signature does not fit) and, where the
   * session ends on the way, `SESSION_ENDED` (transient).
   */
  uploadContent(upload: ContentUpload): Promise<UploadResult>
  /** `GET /v1/edge-mgmt/edgehosts/current/uploaded-content/details`; `undefined`: nothing was uploaded yet. */
  uploadedContent(options?: CallOptions): Promise<UploadedContent | undefined>
  /** `GET /v1/edge-mgmt/edgehosts/current/actions/content/signing-public-key`; `undefined`: the image has none. */
  contentSigningKey(options?: CallOptions): Promise<ContentSigningKey | undefined>
  /** `GET /v1/edge-mgmt/clusters/archive/{embedded,overridden}/details`; `undefined`: there is no such definition. */
  archiveDetails(kind: 'embedded' | 'overridden', options?: CallOptions): Promise<ArchiveDetails | undefined>
  /** `POST /v1/edge-mgmt/cluster/profiles/variables/validate` */
  validateVariables(
    request: { archiveUploadPath: string; clusterName: string; variables: readonly VariableValue[] },
    options?: CallOptions,
  ): Promise<VariableValidation>
  /**
   * `POST /v1/edge-mgmt/cluster`. Not idempotent: after any failure read `cluster()` back before trying again
   * (palette.md §10 no. 16).
   */
  createCluster(configuration: ClusterConfiguration, options?: CallOptions): Promise<void>
  /** `GET /v1/edge-mgmt/cluster`; `undefined`: there is none. */
  cluster(options?: CallOptions): Promise<ClusterConfiguration | undefined>
  /** `GET /v1/edge-mgmt/cluster/details`; `undefined`: there is no cluster. Carries the admin kubeconfig, a secret. */
  clusterDetails(options?: CallOptions): Promise<ClusterDetails | undefined>
  /** `GET /v1/edge-mgmt/cluster/applications`; `undefined`: there is no cluster and no content. */
  clusterApplications(options?: CallOptions): Promise<ClusterApplications | undefined>
  /** `GET /v1/edge-mgmt/cluster/events` */
  clusterEvents(namespace?: string, options?: CallOptions): Promise<ClusterEvents>
  /** `GET /v1/edge-mgmt/events/lifecycle` */
  lifecycleEvents(options?: CallOptions): Promise<LifecycleEvents>
  /** `GET /v1/edge-mgmt/clusters/current/nodes` */
  clusterNodes(options?: CallOptions): Promise<ClusterNodes>
  /** `GET /v1/edge-mgmt/cluster/registry/health` */
  registryHealth(options?: CallOptions): Promise<RegistryHealth>
  /** `GET /v1/edge-mgmt/cluster/registry/content/details` */
  registryContent(options?: CallOptions): Promise<RegistryContent>
  /** `GET /v1/edge-mgmt/cluster/registry/content/sync-status/details` */
  registrySyncStatus(options?: CallOptions): Promise<RegistrySyncStatus>
  /** `GET /v1/edge-mgmt/network/interfaces`; 404, 405 and 501 mean an older agent: `unsupported`. */
  networkInterfaces(options?: CallOptions): Promise<Supported<{ interfaces: NetworkInterface[] }>>
  /**
   * `PUT /v1/edge-mgmt/network/interfaces/{name}/config`. While the agent still applies an earlier change it answers
   * 429: `TOO_MANY_REQUESTS`, transient.
   */
  setNetworkInterface(name: string, config: NetworkInterfaceConfig, options?: CallOptions): Promise<void>
  /** `GET /v1/edge-mgmt/network/management-interface`; 404, 405 and 501 mean an older agent: `unsupported`. */
  managementInterface(options?: CallOptions): Promise<Supported<{ managementInterface: ManagementInterface }>>
  /** `POST /v1/edge-mgmt/edgehosts/current/actions/reboot` */
  reboot(options?: CallOptions): Promise<void>
  /** Closes the connections. The session on the node stays until it ends by itself; see `logout`. */
  close: () => Promise<void>
}

/** The agent ends a session after 2 h (palette.md §4.2); renewed well before. */
const renewAfterMilliseconds = 90 * 60_000
/** Before a long upload, so that it does not run out on the way. */
const uploadMaxAgeMilliseconds = 10 * 60_000

const prefix = '/v1/edge-mgmt'
const host = `${prefix}/edgehosts/current`

export function createLocalApiClient(options: LocalApiClientOptions): LocalApiClient {
  const { clock, node, endpoint } = options
  const http = createHttpClient(options)
  const session = createSessionKeeper<{ isFirstLogin: boolean }>({
    where: endpointText(endpoint),
    node,
    clock,
    renewAfterMilliseconds,
    attemptLogin,
    attemptRenewal,
  })

  async function attemptLogin(
    credentials: Credentials,
    signal: AbortSignal | undefined,
  ): Promise<{ outcome: LoginOutcome<{ isFirstLogin: boolean }>; token?: SessionToken }> {
    const request: HttpRequest = {
      method: 'POST',
      path: '/v1/users/default/login',
      // The token travels in a header; a cookie would be a second copy of it.
      query: { setCookie: false },
      body: { username: credentials.username, password: credentials.password },
      returnStatuses: 'all',
      redact: [credentials.password],
      isAnswerSecret: true,
      signal,
    }
    const answer = await http.request(request)
    if (answer.status >= 200 && answer.status < 300) {
      const body = parse(loginSchema, request, answer)
      return {
        outcome: { kind: 'accepted', isFirstLogin: body.IsFirstLogin ?? false },
        token: { authorization: body.Token.Authorization, refreshToken: body.Token.RefreshToken },
      }
    }
    const refusal = readLoginRefusal(answer, credentials, clock)
    if (refusal !== undefined) return { outcome: refusal }
    throw http.statusError(request, answer)
  }

  async function attemptRenewal(
    token: SessionToken,
    signal: AbortSignal | undefined,
  ): Promise<SessionToken | undefined> {
    const request: HttpRequest = {
      method: 'POST',
      path: '/v1/users/default/token/renewal',
      headers: { authorization: token.authorization },
      ...(token.refreshToken === undefined ? {} : { body: { refreshToken: token.refreshToken } }),
      returnStatuses: [400, 401, 403, 404, 405],
      isAnswerSecret: true,
      signal,
    }
    const answer = await http.request(request)
    if (answer.status >= 400) return undefined
    const body = parse(renewalSchema, request, answer)
    return { authorization: body.Authorization, refreshToken: body.RefreshToken ?? token.refreshToken }
  }

  function parse<Schema extends z.ZodType>(
    schema: Schema,
    request: HttpRequest,
    answer: HttpAnswer,
  ): z.output<Schema> {
    const result = schema.safeParse(answer.json)
    if (result.success) return result.data
    const places = result.error.issues.map(
      (issue) => `${issue.path.join('.') || 'the whole'}: ${issue.message}`,
    )
    throw http.badAnswer(request, `Not what the API describes (${places.slice(0, 3).join('; ')}).`, answer)
  }

  /** One request within the session. */
  function send(
    request: HttpRequest,
    sessionOptions: { isRepeatable?: boolean; maxAgeMilliseconds?: number } = {},
  ): Promise<HttpAnswer> {
    return session.withToken(
      (authorization) =>
        http.request({
          ...request,
          headers: { ...request.headers, authorization },
          redact: [...(request.redact ?? []), authorization],
        }),
      { signal: request.signal, ...sessionOptions },
    )
  }

  async function call<Schema extends z.ZodType>(
    schema: Schema,
    request: HttpRequest,
  ): Promise<z.output<Schema>> {
    return parse(schema, request, await send(request))
  }

  async function callOptional<Schema extends z.ZodType>(
    schema: Schema,
    request: HttpRequest,
  ): Promise<z.output<Schema> | undefined> {
    const answer = await send({ ...request, returnStatuses: [404] })
    return answer.status === 404 ? undefined : parse(schema, request, answer)
  }

  async function callSupported<Schema extends z.ZodType>(
    schema: Schema,
    request: HttpRequest,
  ): Promise<z.output<Schema> | 'unsupported'> {
    const answer = await send({ ...request, returnStatuses: [404, 405, 501] })
    return answer.status >= 400 ? 'unsupported' : parse(schema, request, answer)
  }

  return {
    node,
    endpoint,
    async ping({ signal } = {}) {
      const request: HttpRequest = { method: 'GET', path: '/v1/ping', signal }
      return parse(pingSchema, request, await http.request(request))
    },
    login: (credentials, { signal } = {}) => session.login(credentials, signal),
    async logout({ signal } = {}) {
      const authorization = session.currentToken()
      session.forget()
      if (authorization === undefined) return
      await http.request({
        method: 'POST',
        path: '/v1/users/default/logout',
        headers: { authorization },
        redact: [authorization],
        expect: 'nothing',
        returnStatuses: [400, 401],
        signal,
      })
    },
    async changePassword(oldPassword, newPassword, { signal } = {}) {
      // Makes sure that the session is alive: below, 401 is the verdict on the old password and no second login.
      await call(currentUserSchema, { method: 'GET', path: '/v1/users/current', signal })
      const answer = await send({
        method: 'POST',
        path: '/v1/users/default/password/reset',
        body: { oldPassword, newPassword },
        redact: [oldPassword, newPassword],
        expect: 'nothing',
        returnStatuses: [400, 401, 403, 422],
        signal,
      })
      if (answer.status >= 400) {
        const message = messageOfAnswer(answer) ?? `HTTP ${String(answer.status)}`
        return { kind: 'refused', message: redact(message, [oldPassword, newPassword]) }
      }
      session.forget()
      return { kind: 'changed' }
    },
    currentUser: ({ signal } = {}) =>
      call(currentUserSchema, { method: 'GET', path: '/v1/users/current', signal }),
    settings: ({ signal } = {}) =>
      call(settingsSchema, { method: 'GET', path: `${prefix}/settings`, signal }),
    edgeHost: ({ signal } = {}) => call(edgeHostSchema, { method: 'GET', path: host, signal }),
    configurations: ({ signal } = {}) =>
      call(hostConfigurationsSchema, { method: 'GET', path: `${host}/configurations`, signal }),
    async setConfigurations(configurations, { signal } = {}) {
      await send({
        method: 'PUT',
        path: `${host}/configurations`,
        body: configurations,
        // A proxy address may carry a password.
        redact: [configurations.httpProxy, configurations.httpsProxy].filter((value) => value !== undefined),
        expect: 'nothing',
        signal,
      })
    },
    configurationStatus: ({ signal } = {}) =>
      call(hostConfigurationStatusSchema, { method: 'GET', path: `${host}/configurations/status`, signal }),
    generateLinkToken: ({ signal } = {}) =>
      call(linkTokenSchema, {
        method: 'POST',
        path: `${host}/link/generate-token`,
        isAnswerSecret: true,
        signal,
      }),
    link: (token, { signal } = {}) =>
      call(linkStatusSchema, {
        method: 'POST',
        path: `${host}/link`,
        body: { token },
        redact: [token],
        signal,
      }),
    linkStatus: ({ signal } = {}) =>
      callOptional(linkStatusSchema, { method: 'GET', path: `${host}/link/status`, signal }),
    uploadContent,
    uploadedContent: ({ signal } = {}) =>
      callOptional(uploadedContentSchema, {
        method: 'GET',
        path: `${host}/uploaded-content/details`,
        signal,
      }),
    contentSigningKey: ({ signal } = {}) =>
      callOptional(contentSigningKeySchema, {
        method: 'GET',
        path: `${host}/actions/content/signing-public-key`,
        signal,
      }),
    archiveDetails: (kind, { signal } = {}) =>
      callOptional(archiveDetailsSchema, {
        method: 'GET',
        path: `${prefix}/clusters/archive/${kind}/details`,
        isAnswerSecret: true,
        signal,
      }),
    validateVariables: ({ archiveUploadPath, clusterName, variables }, { signal } = {}) =>
      call(variableValidationSchema, {
        method: 'POST',
        path: `${prefix}/cluster/profiles/variables/validate`,
        body: { archiveUploadPath, metadata: { name: clusterName }, variables },
        redact: secretsAmong(variables),
        signal,
      }),
    async createCluster(configuration, { signal } = {}) {
      const request: HttpRequest = {
        method: 'POST',
        path: `${prefix}/cluster`,
        body: configuration,
        redact: secretsAmong(configuration.spec.profileVariables ?? []),
        expect: 'nothing',
        signal,
      }
      const answer = await send(request)
      if (answer.json !== undefined) parse(acceptedSchema.nullable(), request, answer)
    },
    cluster: ({ signal } = {}) =>
      callOptional(clusterConfigurationSchema, {
        method: 'GET',
        path: `${prefix}/cluster`,
        // The variables hold the registry's password.
        isAnswerSecret: true,
        signal,
      }),
    clusterDetails: ({ signal } = {}) =>
      callOptional(clusterDetailsSchema, {
        method: 'GET',
        path: `${prefix}/cluster/details`,
        isAnswerSecret: true,
        signal,
      }),
    clusterApplications: ({ signal } = {}) =>
      callOptional(clusterApplicationsSchema, {
        method: 'GET',
        path: `${prefix}/cluster/applications`,
        isAnswerSecret: true,
        signal,
      }),
    clusterEvents: (namespace, { signal } = {}) =>
      call(eventsSchema, { method: 'GET', path: `${prefix}/cluster/events`, query: { namespace }, signal }),
    lifecycleEvents: ({ signal } = {}) =>
      call(lifecycleEventsSchema, { method: 'GET', path: `${prefix}/events/lifecycle`, signal }),
    clusterNodes: ({ signal } = {}) =>
      call(clusterNodesSchema, { method: 'GET', path: `${prefix}/clusters/current/nodes`, signal }),
    registryHealth: ({ signal } = {}) =>
      call(registryHealthSchema, { method: 'GET', path: `${prefix}/cluster/registry/health`, signal }),
    registryContent: ({ signal } = {}) =>
      call(registryContentSchema, {
        method: 'GET',
        path: `${prefix}/cluster/registry/content/details`,
        signal,
      }),
    registrySyncStatus: ({ signal } = {}) =>
      call(registrySyncStatusSchema, {
        method: 'GET',
        path: `${prefix}/cluster/registry/content/sync-status/details`,
        signal,
      }),
    async networkInterfaces({ signal } = {}) {
      const body = await callSupported(networkInterfacesSchema, {
        method: 'GET',
        path: `${prefix}/network/interfaces`,
        signal,
      })
      return body === 'unsupported'
        ? { kind: 'unsupported' }
        : { kind: 'supported', interfaces: body.interfaces }
    },
    async setNetworkInterface(name, config, { signal } = {}) {
      await send({
        method: 'PUT',
        path: `${prefix}/network/interfaces/${encodeURIComponent(name)}/config`,
        body: config,
        expect: 'nothing',
        signal,
      })
    },
    async managementInterface({ signal } = {}) {
      const body = await callSupported(managementInterfaceSchema, {
        method: 'GET',
        path: `${prefix}/network/management-interface`,
        signal,
      })
      return body === 'unsupported'
        ? { kind: 'unsupported' }
        : { kind: 'supported', managementInterface: body }
    },
    async reboot({ signal } = {}) {
      await send({ method: 'POST', path: `${host}/actions/reboot`, expect: 'nothing', signal })
    },
    async close() {
      await http.close()
    },
  }

  async function uploadContent(upload: ContentUpload): Promise<UploadResult> {
    const { signal, stallMilliseconds = 120_000, answerMilliseconds = 60 * 60_000 } = upload
    const ended = new AbortController()
    const giveUp = (error: AppError) => {
      ended.abort(error)
    }
    const handleAbort = () => {
      ended.abort(signal?.reason)
    }
    signal?.throwIfAborted()
    signal?.addEventListener('abort', handleAbort, { once: true })
    let timer: NodeJS.Timeout | undefined
    let failure: unknown
    /** Real time: it is one network operation. */
    const expectWithin = (milliseconds: number, sentBytes: number) => {
      clearTimeout(timer)
      timer = setTimeout(() => {
        giveUp(stalled(upload, sentBytes, milliseconds))
      }, milliseconds)
    }
    const chunks = async function* () {
      try {
        yield* checkedChunks(upload, (sentBytes) => {
          expectWithin(sentBytes < upload.size ? stallMilliseconds : answerMilliseconds, sentBytes)
          upload.onProgress?.(sentBytes)
        })
      } catch (error) {
        failure = error
        throw error
      }
    }
    const request: HttpRequest = {
      method: 'POST',
      path: `${host}/actions/upload-content`,
      stream: multipartBody(
        upload.signature === undefined ? [] : [{ name: 'signature', value: upload.signature.trim() }],
        { name: 'uploadFile', fileName: upload.fileName, size: upload.size, chunks: chunks() },
      ),
      returnStatuses: [500],
      signal: ended.signal,
    }
    try {
      expectWithin(stallMilliseconds, 0)
      const answer = await send(request, {
        isRepeatable: false,
        maxAgeMilliseconds: uploadMaxAgeMilliseconds,
      })
      if (answer.status === 500) throw uploadError(request, answer)
      return parse(uploadResultSchema, request, answer)
    } catch (error) {
      signal?.throwIfAborted()
      // What went wrong with the file is the cause, whatever the connection made of it.
      if (failure instanceof AppError) throw failure.at({ node })
      throw error
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', handleAbort)
    }
  }

  /** palette.md §8.3: 500 "public key to verify content not found" does not heal by waiting. */
  function uploadError(request: HttpRequest, answer: HttpAnswer): AppError {
    const message = messageOfAnswer(answer) ?? ''
    if (!/public key|signature|verif/iu.test(message)) return http.statusError(request, answer)
    return new AppError({
      code: 'CONTENT_NOT_VERIFIABLE',
      title: `${node} cannot verify the signature of the content.`,
      detail: message,
      remedies: [
        'Use ISO, content bundle and signature file of the same release.',
        'Give the signature file that belongs to this bundle.',
      ],
      node,
    })
  }

  function stalled(upload: ContentUpload, sentBytes: number, milliseconds: number): AppError {
    const isSent = sentBytes >= upload.size
    return new AppError({
      code: 'UPLOAD_STALLED',
      title: isSent
        ? `${node} did not confirm the upload of ${upload.fileName}.`
        : `The upload of ${upload.fileName} to ${node} stands still.`,
      detail: `${String(sentBytes)} of ${String(upload.size)} bytes were sent; nothing happened for ${String(Math.round(milliseconds / 1000))} s.`,
      remedies: isSent
        ? ['Look at the content of the node: the file may have arrived.', 'Check the disk space of the node.']
        : [
            'Check the network to the node.',
            'Check the disk space of the node: a full disk stops an upload.',
          ],
      isTransient: true,
      node,
    })
  }
}

/** Values that the server may repeat in a message about them. Short ones (numbers, `true`) are no secrets. */
function secretsAmong(variables: readonly { value?: string | undefined }[]): string[] {
  return variables.map((variable) => variable.value ?? '').filter((value) => value.length >= 8)
}
