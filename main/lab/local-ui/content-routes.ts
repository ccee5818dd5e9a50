import { createHash } from 'node:crypto'
import type { Cluster } from '../cluster.ts'
import type { LabContext } from '../context.ts'
import { errorAnswer, type Answer, type ApiRequest, type Route } from '../http/api-server.ts'
import { MultipartError, readMultipart } from '../http/multipart.ts'
import { gibibyte } from '../hardware.ts'
import type { Linking } from '../linking.ts'
import type { LabNode, Upload } from '../node.ts'

const base = '/v1/edge-mgmt/edgehosts/current'
const registryBase = '/v1/edge-mgmt/cluster/registry'
const longestSignature = 64 * 1024

/** Uploads to a host and the content of the registry. */
export function contentRoutes(
  context: LabContext,
  node: LabNode,
  { linking, cluster }: { linking: Linking; cluster: Cluster },
): Route[] {
  const { scheduler, durations, recorder, faults } = context
  const isoTime = (at: number) => new Date(at).toISOString()
  const hasSigningKey = context.scenario.agent.signingKey ?? context.variant === 'D'
  /** What was unpacked, on whichever host it arrived. */
  const unpackedAt = new Map<Upload, number>()

  const receive = async (request: ApiRequest, kind: Upload['kind']): Promise<Answer> => {
    if (linking.leaderOf(node) !== null)
      return errorAnswer(500, 'NotLeader', 'upload the content to the leader')
    recorder.count('uploads')
    context.emit('upload-started', node.name)
    const cut = faults.take('upload-cut', node.name)
    const cutAt = cut === null ? Infinity : cut.fraction * Number(request.headers['content-length'] ?? 0)
    const fields: Record<string, unknown> = {}
    request.recordedBody = fields
    let received = 0
    const source = counted(request.stream as AsyncIterable<Buffer>, (length) => {
      received += length
      return received < cutAt
    })
    let upload: Upload | null = null
    let signature: string | null = null
    try {
      for await (const part of readMultipart(source, request.headers['content-type'] ?? '')) {
        const hash = createHash('sha256')
        let size = 0
        const kept: Buffer[] = []
        for await (const chunk of part.data) {
          hash.update(chunk)
          size += chunk.length
          if (part.name === 'signature' && size <= longestSignature) kept.push(chunk)
        }
        fields[part.name] = { fileName: part.fileName, size }
        if (part.name === 'signature') signature = Buffer.concat(kept).toString('utf8').trim()
        else if (part.name === 'uploadFile') {
          upload = {
            kind,
            fileName: part.fileName ?? 'upload',
            size,
            sha256: hash.digest('hex'),
            signature: null,
            uploadedAt: scheduler.now(),
          }
        }
      }
    } catch (error) {
      if (error instanceof UploadCut) {
        recorder.count('uploadsCut')
        return { status: 500, isCut: true }
      }
      if (error instanceof MultipartError) return errorAnswer(500, 'InvalidUpload', error.message)
      throw error
    }
    if (upload === null) return errorAnswer(500, 'InvalidUpload', 'the field uploadFile is missing')
    if (hasSigningKey && kind === 'content' && (signature === null || !/^[0-9a-fA-F]+$/.test(signature))) {
      return errorAnswer(
        500,
        'InvalidSignature',
        'the signature of the content is missing or not hexadecimal',
      )
    }
    const finished: Upload = { ...upload, signature, uploadedAt: scheduler.now() }
    node.uploads.push(finished)
    recorder.busy(scheduler.now(), scheduler.now() + durations.contentUnpack)
    scheduler.after(durations.contentUnpack, () => {
      unpackedAt.set(finished, scheduler.now())
      linking.contentArrived(node)
    })
    context.emit('upload-finished', node.name)
    return {
      status: 201,
      body: {
        message: 'the file was uploaded',
        uploadPath: `/usr/local/spectrocloud/bundle/${upload.fileName}`,
      },
    }
  }

  const bytes = (size: number) => `${(size / gibibyte).toFixed(2)}GiB`

  return [
    {
      method: 'POST',
      path: `${base}/actions/upload-content`,
      isStream: true,
      handle: (request) => receive(request, 'content'),
    },
    {
      method: 'POST',
      path: `${base}/actions/upload-clusterconfig`,
      isStream: true,
      handle: (request) => receive(request, 'cluster-definition'),
    },
    {
      method: 'GET',
      path: `${base}/uploaded-content/details`,
      handle: () => {
        const last = node.uploads.at(-1)
        if (last === undefined) return errorAnswer(404, 'NotFound', 'nothing was uploaded')
        return {
          status: 200,
          body: {
            fileName: last.fileName,
            sha256Hash: last.sha256,
            sizeInBytes: last.size,
            sizeInMiB: last.size / 1024 ** 2,
            sizeInGiB: last.size / gibibyte,
            uploadDateTime: isoTime(last.uploadedAt),
          },
        }
      },
    },
    {
      method: 'GET',
      path: `${base}/actions/content/signing-public-key`,
      handle: () =>
        hasSigningKey
          ? {
              status: 200,
              body: {
                key: Buffer.from(
                  '-----BEGIN PUBLIC KEY-----\npractice lab\n-----END PUBLIC KEY-----\n',
                ).toString('base64'),
                description: 'content signing key of the practice lab',
                creationTimestamp: isoTime(scheduler.now()),
              },
            }
          : errorAnswer(404, 'NotFound', 'this image has no key for content signatures'),
    },
    {
      method: 'GET',
      path: `${registryBase}/health`,
      handle: () => {
        const isThere = cluster.reachedAt.has('RegistryReady')
        return {
          status: 200,
          body: {
            State: isThere ? 'Healthy' : 'NotInstalled',
            Message: '',
            DiskCapacity: isThere ? '100GiB' : '',
            DiskUsed: isThere ? '12GiB' : '',
            DiskAvailable: isThere ? '88GiB' : '',
            UsagePercentage: isThere ? '12%' : '',
          },
        }
      },
    },
    {
      method: 'GET',
      path: `${registryBase}/content/details`,
      handle: () => ({
        status: 200,
        body: {
          status: cluster.reachedAt.has('RegistryReady')
            ? [
                ...cluster.profiles
                  .flatMap((profile) => profile.packs)
                  .map((pack) => ({
                    name: pack.name,
                    version: pack.version,
                    contentType: 'pack',
                    size: '0.05GiB',
                    dateAdded: isoTime(cluster.createdAt),
                  })),
                ...[...unpackedAt].map(([upload, at]) => ({
                  name: upload.fileName.replace(/\.(tar\.)?zst$/, ''),
                  version: '1.0.0',
                  contentType: 'pack',
                  size: bytes(upload.size),
                  dateAdded: isoTime(at),
                })),
              ]
            : [],
        },
      }),
    },
    {
      method: 'GET',
      path: `${registryBase}/content/sync-status/details`,
      handle: () => {
        const pending = node.uploads.filter((upload) => !unpackedAt.has(upload))
        return {
          status: 200,
          body: {
            statusMessage:
              pending.length === 0 ? '' : `Syncing content: (${pending.length}) items are pending`,
            errors: {},
            pendingItems: pending.map((upload) => ({
              name: upload.fileName,
              version: '',
              contentType: 'pack',
              size: bytes(upload.size),
              source: node.edgeHostId,
              target: 'registry',
              status: 'pending',
              msg: '',
              creationTimestamp: isoTime(upload.uploadedAt),
              lastSyncTimestamp: isoTime(scheduler.now()),
            })),
          },
        }
      },
    },
  ]
}

class UploadCut extends Error {}

/** Passes chunks on as they are asked for; throws when `mayGoOn` says no. */
async function* counted(
  source: AsyncIterable<Buffer>,
  mayGoOn: (length: number) => boolean,
): AsyncGenerator<Buffer> {
  for await (const chunk of source) {
    if (!mayGoOn(chunk.length)) throw new UploadCut()
    yield chunk
  }
}
