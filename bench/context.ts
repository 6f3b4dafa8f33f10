import type { Measure } from './measure';
import { Registry, type RegistryOptions } from './registry';
import type { Scale } from './scale';
import { seed } from './seed';
import type { Load } from './load';
import type { Workplace } from './workplace';

/** What every work is given. */
export class Context {
    readonly #databases = new Map<number, Promise<string>>();

    constructor(
        readonly workplace: Workplace,
        readonly load: Load,
        readonly scale: Scale,
        private readonly cpuProf: string | undefined,
    ) {}

    /** A data folder with so many images, made when first asked for. */
    seeded(images: number): Promise<string> {
        const made = this.#databases.get(images) ?? this.#seed(images);
        this.#databases.set(images, made);
        return made;
    }

    async #seed(images: number): Promise<string> {
        const dataDir = this.workplace.file(`images-${images}`);
        await seed(dataDir, images);
        return dataDir;
    }

    /** A server; stop it, so that the next work has the machine for itself. */
    startRegistry(
        dataDir: string,
        options: Pick<RegistryOptions, 'config' | 'firstPath'> = {},
    ): Promise<Registry> {
        const { workplace, cpuProf } = this;
        return Registry.start(workplace, { dataDir, cpuProf, ...options });
    }
}

/** One thing to measure. */
export type Work = (context: Context) => Promise<Measure[]>;
