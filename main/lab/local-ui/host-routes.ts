import { z } from 'zod'
import type { LabContext } from '../context.ts'
import { errorAnswer, type Route } from '../http/api-server.ts'
import type { Linking } from '../linking.ts'
import type { LabNode } from '../node.ts'
import { edgeHostInfo } from './edge-host.ts'
import { accepted } from './session.ts'

const configurationsSchema = z.strictObject({
  caCerts: z.array(z.string()).optional(),
  httpProxy: z.string().optional(),
  httpsProxy: z.string().optional(),
  noProxy: z.string().optional(),
})
const userDataSchema = z.strictObject({
  hostName: z
    .string()
    .regex(/^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*$/)
    .optional(),
  network: z.record(z.string(), z.unknown()).optional(),
  registryCredentials: z.record(z.string(), z.unknown()).optional(),
  stages: z.string().optional(),
  tags: z.record(z.string(), z.unknown()).optional(),
  v1Management: z.record(z.string(), z.unknown()).optional(),
})
const linkSchema = z.strictObject({
  token: z.string().min(1),
  interval: z.number().optional(),
  remainingTime: z.number().optional(),
})

const base = '/v1/edge-mgmt/edgehosts/current'
const proxyUrl = /^$|^https?:\/\/[^\s/]+/

/** Facts, configuration, power and linking of one host. */
export function hostRoutes(context: LabContext, node: LabNode, linking: Linking): Route[] {
  const { scheduler, durations, recorder } = context

  const writeUserData =
    (status: number): Route['handle'] =>
    ({ body }) => {
      if (node.isInCluster) return errorAnswer(500, 'InCluster', 'user data of a host in a cluster is frozen')
      const data = userDataSchema.safeParse(body)
      if (!data.success) {
        return errorAnswer(
          500,
          'InvalidInput',
          data.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; '),
        )
      }
      node.userData = { ...node.userData, ...data.data }
      const { hostName } = data.data
      if (hostName !== undefined) {
        node.files.write(
          '/oem/99_userdata.yaml',
          `#cloud-config\nstylus:\n  site:\n    hostName: ${hostName}\n`,
        )
      }
      recorder.busy(scheduler.now(), scheduler.now() + durations.userData)
      scheduler.after(durations.userData, () => {
        node.reboot()
      })
      return accepted(status, 'user data is accepted, the host restarts with it')
    }

  return [
    {
      method: 'GET',
      path: '/v1/edge-mgmt/settings',
      handle: () => ({
        status: 200,
        body: { installationMode: 'airgap', managementMode: 'local', featureFlags: { UserDataForm: true } },
      }),
    },
    { method: 'GET', path: base, handle: () => ({ status: 200, body: edgeHostInfo(context, node) }) },
    {
      method: 'GET',
      path: `${base}/configurations`,
      handle: () => ({ status: 200, body: { ...node.configurations } }),
    },
    {
      method: 'PUT',
      path: `${base}/configurations`,
      handle: ({ body }) => {
        const change = configurationsSchema.safeParse(body)
        if (!change.success)
          return errorAnswer(400, 'InvalidInput', 'the configuration has unknown or malformed fields')
        const { httpProxy = '', httpsProxy = '', noProxy = '', caCerts = [] } = change.data
        for (const url of [httpProxy, httpsProxy]) {
          if (!proxyUrl.test(url)) return errorAnswer(400, 'InvalidProxy', `${url} is not a proxy URL`)
        }
        const badCertificate = caCerts.findIndex((text) => !isCertificate(text))
        node.configurationState = 'In Progress'
        recorder.busy(scheduler.now(), scheduler.now() + durations.hostConfiguration)
        scheduler.after(durations.hostConfiguration, () => {
          if (badCertificate !== -1) {
            node.configurationState = 'Failed'
            return
          }
          node.configurations = { httpProxy, httpsProxy, noProxy, caCerts }
          node.configurationState = 'Configured'
        })
        return accepted(200, 'configuration is being applied')
      },
    },
    {
      method: 'GET',
      path: `${base}/configurations/status`,
      handle: () => ({
        status: 200,
        body: {
          state: node.configurationState,
          errorMessage:
            node.configurationState === 'Failed' ? 'a CA certificate is not Base64 of a PEM certificate' : '',
        },
      }),
    },
    {
      method: 'GET',
      path: `${base}/userdata`,
      handle: () => ({
        status: 200,
        body: { hostName: node.hostName, stages: '', tags: {}, ...node.userData },
      }),
    },
    { method: 'PUT', path: `${base}/userdata`, handle: writeUserData(200) },
    { method: 'POST', path: `${base}/userdata`, handle: writeUserData(201) },
    {
      method: 'POST',
      path: `${base}/actions/reboot`,
      handle: () => ({
        ...accepted(202, 'the host restarts'),
        afterwards: () => {
          node.reboot()
        },
      }),
    },
    {
      method: 'POST',
      path: `${base}/actions/shutdown`,
      handle: () => ({
        ...accepted(202, 'the host shuts down'),
        afterwards: () => {
          node.shutDown()
        },
      }),
    },
    {
      method: 'POST',
      path: `${base}/actions/reset`,
      handle: () => errorAnswer(500, 'NotInPractice', 'the practice lab does not reset hosts'),
    },
    { method: 'POST', path: `${base}/link/generate-token`, handle: () => linking.generateToken(node) },
    {
      method: 'POST',
      path: `${base}/link`,
      handle: ({ body }) => {
        const link = linkSchema.safeParse(body)
        return link.success
          ? linking.link(node, link.data.token)
          : errorAnswer(400, 'InvalidToken', 'a token is required')
      },
    },
    { method: 'GET', path: `${base}/link/status`, handle: () => linking.status(node) },
    {
      method: 'POST',
      path: `${base}/unlink`,
      handle: ({ query }) => linking.unlink(node, query.get('peerId') ?? ''),
    },
    {
      method: 'POST',
      path: `${base}/generate-logs`,
      handle: () => {
        node.logs = 'InProgress'
        scheduler.after(durations.logs, () => {
          node.logs = 'Completed'
        })
        return accepted(202, 'logs are being collected')
      },
    },
    {
      method: 'GET',
      path: `${base}/generate-logs-status`,
      handle: () => ({ status: 200, body: { status: node.logs, msg: '' } }),
    },
    {
      method: 'GET',
      path: `${base}/download-logs`,
      handle: () =>
        node.logs === 'Completed'
          ? {
              status: 200,
              raw: { type: 'application/x-tar', content: Buffer.alloc(1024) },
              headers: { 'content-disposition': `attachment; filename="${node.hostName}-logs.tar"` },
            }
          : { status: 404, body: { message: 'no logs were generated' } },
    },
    {
      method: 'GET',
      path: `${base}/error-logs`,
      handle: () => ({ status: 200, body: { items: [] } }),
    },
  ]
}

/** Base64 of a PEM certificate, which is how the Local UI takes CA certificates; plain PEM is accepted too. */
function isCertificate(text: string): boolean {
  const decoded = text.includes('-----BEGIN') ? text : Buffer.from(text, 'base64').toString('utf8')
  return decoded.includes('-----BEGIN CERTIFICATE-----') && decoded.includes('-----END CERTIFICATE-----')
}
