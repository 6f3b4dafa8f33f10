/**
 * A stand-in for a compute node: does over HTTP what `imgadm create --publish` does there (vm-images.md §3.1, §4.1 and
 * §4.2, clients.md 1, 4 and 7).
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { gzipSync } from 'node:zlib';
import type { Vm } from './datacenter';

/** What cn-agent is told. */
export interface CreateImageParameters {
    readonly compression: string;
    readonly imgapi_url: string;
    readonly manifest: Manifest;
    readonly incremental?: boolean;
    readonly prepare_image_script?: string;
    readonly max_origin_depth?: number;
}

type Manifest = Readonly<Record<string, unknown>>;

/** What is about to be done when {@link ComputeNode.before} is called. */
export type ImgadmStep = 'prepare' | 'import' | 'upload' | 'activate' | 'delete';

/** An error as `imgadm -E` writes it: `{code, message}` in JSON. */
export class ImgadmError extends Error {
    constructor(
        readonly code: string,
        message: string,
    ) {
        super(message);
    }
}

interface Outcome {
    readonly done: () => void;
    readonly failed: (error: string) => void;
}

const VERSION = '3.10.2';
const HEADERS = {
    accept: 'application/json',
    'accept-version': '*',
    connection: 'close',
    'content-type': 'application/json',
    'user-agent': `imgadm/${VERSION} (node/0.10.48; OpenSSL/1.0.2u)`,
};

/** What a new image has of its origin, unless its manifest says otherwise. */
const INHERITED = [
    'type',
    'os',
    'requirements',
    'users',
    'billing_tags',
    'traits',
    'generate_passwords',
    'inherited_directories',
    'nic_driver',
    'disk_driver',
    'cpu_type',
    'image_size',
];
/** Zones need the platform that they were made on. */
const ZONE_BRANDS = ['joyent', 'joyent-minimal'];
/** Machines whose images run under the same brand only. */
const BRANDS_KEPT = ['lx', 'kvm', 'bhyve'];

export class ComputeNode {
    platform = '20230126T011510Z';
    /** The image's file before it is compressed. */
    data = Buffer.from('the file system of a machine, prepared to be an image\n');
    /** Called before each step; what it throws fails the step, and a promise holds it up. */
    before: ((step: ImgadmStep) => void | Promise<void>) | undefined;
    /** The connection breaks in the middle of the upload. */
    cutsUpload = false;
    /** What it was last told. */
    received: CreateImageParameters | undefined;
    readonly #working = new Set<Promise<void>>();

    /** Begins to make an image; how that ends, `outcome` is told. */
    work(vm: Vm | undefined, parameters: CreateImageParameters, outcome: Outcome): void {
        this.received = parameters;
        const work = this.#create(vm, parameters).then(
            () => outcome.done(),
            (err: unknown) => outcome.failed(errorText(err)),
        );
        this.#working.add(work);
        void work.finally(() => this.#working.delete(work));
    }

    /** Resolves once it has nothing to do any more. */
    async stop(): Promise<void> {
        await Promise.all(this.#working);
    }

    async #create(vm: Vm | undefined, parameters: CreateImageParameters): Promise<void> {
        if (!vm) {
            throw new ImgadmError('VmNotFound', 'vm not found');
        }
        const { imgapi_url: url, compression } = parameters;
        const origin = originOf(vm);
        const parent = origin === undefined ? {} : await getImage(url, origin);
        const { incremental = false, max_origin_depth: depth } = parameters;
        if (incremental && depth !== undefined && (await originDepth(url, parent)) + 1 > depth) {
            throw new ImgadmError(
                'MaxOriginDepth',
                `cannot create image: maximum origin depth "${depth}" has been reached`,
            );
        }
        await this.before?.('prepare');
        const file = compression === 'gzip' ? gzipSync(this.data) : this.data;
        const sha1 = createHash('sha1').update(file).digest('hex');
        const manifest = {
            ...this.#manifest(vm, parent, parameters),
            files: [{ sha1, size: file.length, compression }],
        };
        await this.#publish(url, manifest, { file, query: `compression=${compression}&sha1=${sha1}` });
    }

    #manifest(vm: Vm, parent: Manifest, { manifest, incremental }: CreateImageParameters): Manifest {
        const inherited = INHERITED.filter((field) => manifest[field] === undefined).map(
            (field): [string, unknown] => [field, parent[field]],
        );
        const made = {
            ...manifest,
            ...Object.fromEntries(inherited.filter(([, value]) => value !== undefined)),
        };
        const requirements: Manifest = {
            ...(made as { requirements?: Manifest }).requirements,
            ...(ZONE_BRANDS.includes(vm.brand) && { min_platform: { '7.0': this.platform } }),
            ...(BRANDS_KEPT.includes(vm.brand) && { brand: vm.brand }),
        };
        return {
            ...made,
            v: 2,
            state: 'active',
            ...(incremental === true && { origin: parent.uuid }),
            ...(Object.keys(requirements).length > 0 && { requirements }),
        };
    }

    async #publish(
        url: string,
        manifest: Manifest,
        { file, query }: { file: Buffer; query: string },
    ): Promise<void> {
        const image = `/images/${String(manifest.uuid)}`;
        await this.before?.('import');
        await ask(url, 'POST', `${image}?action=import`, json(manifest));
        try {
            await this.before?.('upload');
            await ask(url, 'PUT', `${image}/file?${query}`, file, { cut: this.cutsUpload });
            await this.before?.('activate');
            await ask(url, 'POST', `${image}?action=activate`, json({}));
        } catch (err) {
            await this.before?.('delete');
            await ask(url, 'DELETE', image);
            throw err;
        }
    }
}

/** As the error of a task says it: one of `imgadm` as JSON, any other in words. */
function errorText(err: unknown): string {
    return err instanceof ImgadmError
        ? JSON.stringify({ code: err.code, message: err.message })
        : String(err instanceof Error ? err.message : err);
}

function originOf({ brand, disks = [], image_uuid: image }: Vm): string | undefined {
    return ['kvm', 'bhyve'].includes(brand)
        ? disks.find((disk) => disk.image_uuid !== undefined)?.image_uuid
        : image;
}

async function getImage(url: string, uuid: string): Promise<Manifest> {
    return JSON.parse(await ask(url, 'GET', `/images/${uuid}`)) as Manifest;
}

/** How many images stand below this one and itself. */
async function originDepth(url: string, image: Manifest): Promise<number> {
    const { origin } = image;
    return typeof origin === 'string' ? 1 + (await originDepth(url, await getImage(url, origin))) : 1;
}

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

/** Sends one request, on a connection of its own. @throws ImgadmError unless the answer is a good one */
async function ask(
    url: string,
    method: string,
    path: string,
    body?: Buffer,
    { cut = false } = {},
): Promise<string> {
    const target = new URL(path, url);
    const length = body && { 'content-length': body.length };
    const request = http.request(target, { method, agent: false, headers: { ...HEADERS, ...length } });
    try {
        if (cut) {
            request.on('error', () => undefined);
            request.write(body?.subarray(0, body.length / 2), () => request.destroy());
            await once(request, 'close');
            throw new Error('socket hang up');
        }
        request.end(body);
        const [response] = (await once(request, 'response')) as [http.IncomingMessage];
        const chunks: Buffer[] = [];
        for await (const chunk of response as AsyncIterable<Buffer>) {
            chunks.push(chunk);
        }
        const text = Buffer.concat(chunks).toString();
        const { statusCode = 0 } = response;
        if (statusCode < 200 || statusCode > 299) {
            throw new ImgadmError('ClientError', `${method} ${target.pathname}: ${statusCode} ${text}`);
        }
        return text;
    } catch (err) {
        throw err instanceof ImgadmError ? err : new ImgadmError('ClientError', String(err));
    }
}
