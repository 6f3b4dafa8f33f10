/** Another datacenter to import from: its answers are a test's to choose. */
import { FILE, MANIFEST, sha1 } from './api';
import { json, LyingServer, type Behaviour } from './lying-server';

export class DatacenterSource {
    readonly #images = new Map<string, object>();
    /** If set, what all requests are answered with. */
    behave: Behaviour | undefined;

    private constructor(readonly server: LyingServer) {
        server.behave = (request, response) => {
            const uuid = /^\/images\/([^/?]+)/.exec(request.url ?? '')?.[1] ?? '';
            const image = this.#images.get(uuid);
            const missing = json({ code: 'ResourceNotFound', message: `image "${uuid}" is not there` }, 404);
            (this.behave ?? (image ? json(image) : missing))(request, response);
        };
    }

    static async start(): Promise<DatacenterSource> {
        return new DatacenterSource(await LyingServer.start(() => undefined));
    }

    get url(): string {
        return this.server.url();
    }

    /** Adds an active image, unless the fields say otherwise. */
    add(uuid: string, fields: object = {}): void {
        this.#images.set(uuid, {
            ...{ v: 2, uuid, ...MANIFEST, public: false, published_at: '2020-01-01T00:00:00.000Z' },
            ...{ state: 'active', files: [{ sha1: sha1(FILE), size: FILE.length, compression: 'none' }] },
            ...fields,
        });
    }
}
