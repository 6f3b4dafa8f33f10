/** What services of the datacenter answer, read with the types it has to have. */
import { isUuid } from '../manifest';
import { ServiceFailure } from './driver';

/** An object in an answer. Members that are null or an empty text count as absent: some services leave them so. */
export class AnswerObject {
    readonly #service: string;
    readonly #members: Readonly<Record<string, unknown>>;

    /** @param service what messages call the service. @throws ServiceFailure if the value is no object */
    constructor(service: string, value: unknown) {
        if (typeof value !== 'object' || value === null || Array.isArray(value)) {
            throw new ServiceFailure(`${service} answered with something else than an object.`);
        }
        this.#service = service;
        this.#members = value as Record<string, unknown>;
    }

    /** @throws ServiceFailure unless it is a text or absent */
    text(name: string): string | undefined {
        const value = this.#get(name);
        return value === undefined || typeof value === 'string' ? value : this.#wrong(name, 'a text');
    }

    /** @throws ServiceFailure unless it is a uuid or absent */
    uuid(name: string): string | undefined {
        const value = this.#get(name);
        return value === undefined || isUuid(value) ? value : this.#wrong(name, 'a uuid');
    }

    /** @throws ServiceFailure unless it is an object or absent */
    object(name: string): AnswerObject | undefined {
        const value = this.#get(name);
        return value === undefined ? undefined : new AnswerObject(this.#service, value);
    }

    /** @throws ServiceFailure unless it is an array of objects or absent, which is an empty one */
    objects(name: string): AnswerObject[] {
        const value = this.#get(name) ?? [];
        return Array.isArray(value)
            ? value.map((one) => new AnswerObject(this.#service, one))
            : this.#wrong(name, 'an array');
    }

    /** Whether there is anything but false or 0. */
    truthy(name: string): boolean {
        return Boolean(this.#get(name));
    }

    #get(name: string): unknown {
        const value = Object.hasOwn(this.#members, name) ? this.#members[name] : undefined;
        return value === null || value === '' ? undefined : value;
    }

    #wrong(name: string, expected: string): never {
        throw new ServiceFailure(`${this.#service} answered with a "${name}" that is not ${expected}.`);
    }
}
