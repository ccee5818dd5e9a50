import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, readFile, stat, statfs } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { readIsoImage } from './iso-image.ts'
import { checkRegistryCertificate } from './registry-certificate-checks.ts'
import type { Finding } from '../../shared/checks/index.ts'
import type { Plan } from '../../shared/plan/index.ts'

const gigabyte = 1_000_000_000
/** Magic number of a zstd frame (RFC 8878 §3.1.1). */
const zstdMagic = Buffer.from([0x28, 0xb5, 0x2f, 0xfd])

/** Checks of the workstation and of the files that the plan names (checks.md §3.1). */
export async function checkWorkstation(
  plan: Plan,
  places: {
    readonly stateFolder: string
    readonly fileOfPlan: (path: string) => string
    /** Read the ISO through, which takes minutes. Default false. */
    readonly readsMedia?: boolean
  },
): Promise<Finding[]> {
  const files = [
    ...plan.appliance.packs,
    ...(plan.appliance.content === null ? [] : [plan.appliance.content.bundle]),
  ]
  const iso = plan.appliance.iso === null ? undefined : places.fileOfPlan(plan.appliance.iso)
  const found = await Promise.all([
    diskFree(places.stateFolder),
    ...files.map((file) => zstdFile(places.fileOfPlan(file))),
    ...otherFilesOf(plan).map(({ path, what }) => readableFile(places.fileOfPlan(path), what)),
    ...(iso === undefined ? [] : [isoFile(iso)]),
    ...(iso === undefined || places.readsMedia !== true ? [] : [isoDigest(iso, plan.appliance.sha256)]),
    registryCertificate(plan, places),
  ])
  return found.flat()
}

/** Files that are read whole when their turn comes: keys, certificates, signatures. */
function otherFilesOf(plan: Plan): { path: string; what: string }[] {
  const { access, appliance, cluster, site } = plan
  const named: [string | null | undefined, string][] = [
    [access.sshKey, 'SSH key (access.sshKey)'],
    [appliance.content?.signature, 'Signature of the content bundle (appliance.content.signature)'],
    [cluster.registry.caCert, 'CA of the registry (cluster.registry.caCert)'],
    [cluster.registry.cert, 'Certificate of the registry (cluster.registry.cert)'],
    [cluster.registry.key, 'Key of the registry (cluster.registry.key)'],
    ...(site.proxy?.caCerts ?? []).map((path): [string, string] => [
      path,
      'CA of the proxy (site.proxy.caCerts)',
    ]),
  ]
  return named.flatMap(([path, what]) => (path == null ? [] : [{ path, what }]))
}

/** Read once more, as a whole: `readableFile` has told already what cannot be. */
async function registryCertificate(
  plan: Plan,
  { fileOfPlan }: { readonly fileOfPlan: (path: string) => string },
): Promise<Finding[]> {
  const { cert, key, caCert, endpoint } = plan.cluster.registry
  if (cert === null) return []
  const read = (path: string | null) =>
    // What cannot be read has a finding of its own.
    path === null ? undefined : readFile(fileOfPlan(path)).catch(() => undefined)
  const [certificate, keyText, authority] = await Promise.all([read(cert), read(key), read(caCert)])
  if (certificate === undefined) return []
  return checkRegistryCertificate(
    {
      name: basename(cert),
      certificate,
      key: keyText,
      authority,
      endpoint: endpoint ?? (plan.site.vip === 'auto' ? undefined : plan.site.vip),
    },
    Date.now(),
  )
}

async function readableFile(path: string, what: string): Promise<Finding> {
  const base = {
    id: 'ws.file-readable' as const,
    target: basename(path),
    title: `${what} can be read`,
    threshold: 'a file that is not empty',
    evidence: `read ${path}`,
    remedy: 'Correct the path in the plan (relative paths start at the plan), or put the file there.',
  }
  try {
    const { length } = await readFile(path)
    return { ...base, state: length > 0 ? 'pass' : 'fail', measured: `${length} bytes` }
  } catch (error) {
    return { ...base, state: 'fail', measured: messageOf(error) }
  }
}

/** What journal and log of a large run stay far below; without it a run would end at a full disk. */
const leastFree = 0.2 * gigabyte
/** What a workstation should have (checks.md, ws.disk-free). */
const enoughFree = 2 * gigabyte

async function diskFree(folder: string): Promise<Finding> {
  const base = {
    id: 'ws.disk-free' as const,
    target: 'workstation',
    threshold: 'at least 2 GB',
    evidence: `statfs ${folder}`,
    remedy: 'Free some space, or name another folder in LANDFALL_STATE_DIR.',
  }
  try {
    const { bavail, bsize } = await statfs(await existingParent(folder))
    const free = bavail * bsize
    return {
      ...base,
      // Nothing is staged here, hence a workstation with little room may still begin.
      severity: free < leastFree ? 'block' : 'warn',
      state: free >= enoughFree ? 'pass' : 'fail',
      // Rounded down: what is not enough must not look as if it were.
      measured: `${(Math.floor((free / gigabyte) * 10) / 10).toFixed(1)} GB free`,
    }
  } catch (error) {
    return { ...base, state: 'could-not-run', measured: messageOf(error) }
  }
}

/** The ISO from which the nodes were, or will be, booted is the one that was published. */
async function isoDigest(path: string, published: string | null): Promise<Finding> {
  const base = {
    id: 'media.sha256' as const,
    target: basename(path),
    threshold: published === null ? 'the SHA-256 that the vendor publishes' : `SHA-256 ${published}`,
    evidence: `read ${path}`,
    remedy:
      published === null
        ? 'Write the published digest as appliance.sha256 in the plan.'
        : 'Copy the file again from its source; do not boot a node from this one.',
  }
  try {
    const hash = createHash('sha256')
    const chunks = createReadStream(path, { highWaterMark: 1024 * 1024 }) as AsyncIterable<Buffer>
    for await (const chunk of chunks) hash.update(chunk)
    const digest = hash.digest('hex')
    const measured = `SHA-256 ${digest}`
    // Without a published digest there is nothing to compare with: that is no pass.
    if (published === null) return { ...base, severity: 'warn', state: 'could-not-run', measured }
    return { ...base, state: digest === published ? 'pass' : 'fail', measured }
  } catch (error) {
    return { ...base, state: 'fail', measured: messageOf(error) }
  }
}

/** Looks at the image itself, which takes no time: a file that was cut off, or is something else, starts no node. */
async function isoFile(path: string): Promise<Finding[]> {
  const base = { target: basename(path), evidence: `read ${path}` }
  const structure = {
    ...base,
    id: 'media.iso-structure' as const,
    threshold: 'an ISO 9660 image with a boot image for UEFI (El Torito)',
    remedy: 'Name the ISO of the management appliance as appliance.iso; copy it again from its source.',
  }
  const size = {
    ...base,
    id: 'media.iso-size' as const,
    remedy: 'The file was cut off while it was copied: copy it again from its source.',
  }
  try {
    const handle = await open(path, 'r')
    try {
      const image = await readIsoImage(handle)
      if (image.kind === 'not-an-iso') {
        const measured = `no ISO image: ${image.reason}`
        return [
          { ...structure, state: 'fail', measured },
          { ...size, state: 'could-not-run', measured, threshold: 'the size that the image declares' },
        ]
      }
      const { size: length } = await handle.stat()
      const boots = {
        none: 'no boot image',
        other: 'a boot image, none for UEFI',
        efi: 'a boot image for UEFI',
      }
      return [
        {
          ...structure,
          state: image.boot === 'efi' ? 'pass' : 'fail',
          measured: `ISO image "${image.label}" with ${boots[image.boot]}`,
        },
        {
          ...size,
          state: length >= image.declaredSize ? 'pass' : 'fail',
          measured: `${length} bytes`,
          threshold: `at least the ${image.declaredSize} bytes that the image declares`,
        },
      ]
    } finally {
      await handle.close()
    }
  } catch (error) {
    return [
      { ...structure, state: 'fail', measured: messageOf(error) },
      {
        ...size,
        state: 'could-not-run',
        measured: messageOf(error),
        threshold: 'the size that the image declares',
      },
    ]
  }
}

async function zstdFile(path: string): Promise<Finding> {
  const base = {
    id: 'bundle.zst-valid' as const,
    target: basename(path),
    threshold: 'begins with 28 b5 2f fd',
    evidence: `read ${path}`,
    remedy: 'Copy the file again, or correct its path in the plan.',
  }
  try {
    const handle = await open(path, 'r')
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(4), 0, 4, 0)
      const start = buffer.subarray(0, bytesRead)
      const { size } = await handle.stat()
      return {
        ...base,
        state: start.equals(zstdMagic) ? 'pass' : 'fail',
        measured: `${size} bytes, begins with ${start.toString('hex')}`,
      }
    } finally {
      await handle.close()
    }
  } catch (error) {
    return { ...base, state: 'fail', measured: messageOf(error) }
  }
}

/** The folder may not have been made yet; its file system is that of the nearest one that is there. */
async function existingParent(folder: string): Promise<string> {
  let candidate = folder
  for (;;) {
    const isThere = await stat(candidate).then(
      () => true,
      () => false,
    )
    if (isThere || candidate === dirname(candidate)) return candidate
    candidate = dirname(candidate)
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
