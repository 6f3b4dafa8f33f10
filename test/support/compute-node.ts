/**
 * A stand-in for a compute node: does over HTTP what `imgadm create --publish` does there (vm-images.md §3.1, §4.1 and
 * §4.2, clients.md 1, 4 and 7).
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { gzipSync } from 'node:zlib';
import { unlessAborted } from '../../lib/abort';
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

/** What is about to be done when {@link Meddling.before} is called. */
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

/** What goes wrong while an image is made. */
export interface Meddling {
    /** Called before each step; what it throws fails the step, and a promise holds it up. */
    readonly before?: (step: ImgadmStep) => void | Promise<void>;
    /** The connection breaks in the middle of the upload. */
    readonly cutsUpload?: true;
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
    /** By the uuid of the image that is made. */
    readonly meddlings = new Map<unknown, Meddling>();
    /** What it was told, by the uuid of the image. */
    readonly received = new Map<unknown, CreateImageParameters>();
    readonly #stopping = new AbortController();
    /** What came of an image, by its uuid: '' or the error. */
    readonly #working = new Map<unknown, Promise<string>>();

    /** Begins to make an image; how that ends, `outcome` is told. */
    work(vm: Vm | undefined, parameters: CreateImageParameters, outcome: Outcome): void {
        this.received.set(parameters.manifest.uuid, parameters);
        const work = this.#create(vm, parameters).then(
            () => '',
            (err: unknown) => errorText(err),
        );
        this.#working.set(parameters.manifest.uuid, work);
        void work.then((error) => {
            if (error === '') {
                outcome.done();
            } else {
                outcome.failed(error);
            }
        });
    }

    /** Resolves once nothing more is done for an image, with the error if there was one. */
    async ended(uuid: string): Promise<string> {
        return (await this.#working.get(uuid)) ?? 'It was not told to make this image.';
    }

    /** Ends what is held up, and resolves once it has nothing to do any more. */
    async stop(): Promise<void> {
        this.#stopping.abort();
        await Promise.all(this.#working.values());
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
        await this.#before('prepare', parameters.manifest);
        const file = compression === 'gzip' ? gzipSync(this.data) : this.data;
        const sha1 = createHash('sha1').update(file).digest('hex');
        const manifest = {
            ...this.#manifest(vm, parent, parameters),
            files: [{ sha1, size: file.length, compression }],
        };
        await this.#publish(url, manifest, { file, query: `compression=${compression}&sha1=${sha1}` });
    }

    async #before(step: ImgadmStep, { uuid }: Manifest): Promise<void> {
        const { signal } = this.#stopping;
        await unlessAborted(signal, Promise.resolve(this.meddlings.get(uuid)?.before?.(step)));
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
        await this.#before('import', manifest);
        await ask(url, 'POST', `${image}?action=import`, json(manifest));
        try {
            await this.#before('upload', manifest);
            const { cutsUpload: cut = false } = this.meddlings.get(manifest.uuid) ?? {};
            await ask(url, 'PUT', `${image}/file?${query}`, file, { cut });
            await this.#before('activate', manifest);
            await ask(url, 'POST', `${image}?action=activate`, json({}));
        } catch (err) {
            await this.#before('delete', manifest);
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
