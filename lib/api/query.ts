import querystring from 'node:querystring';
import { invalidParameter } from '../errors';

/** The parameters of a request's query string. A parameter given twice is refused where one value is expected. */
export class Query {
    readonly #values: NodeJS.Dict<string | string[]>;

    /** @param search the query string without its `?` */
    constructor(search: string) {
        this.#values = search === '' ? {} : querystring.parse(search, '&', '=', { maxKeys: 0 });
    }

    /** The one value of a parameter; undefined if it is not given. @throws ApiError InvalidParameter if repeated */
    one(name: string): string | undefined {
        const value = Object.hasOwn(this.#values, name) ? this.#values[name] : undefined;
        if (Array.isArray(value)) {
            throw invalidParameter(`Parameter "${name}" is given ${value.length} times; give it once.`, name);
        }
        return value;
    }

    /** The one value of a parameter, with an empty one counting as not given. */
    nonEmpty(name: string): string | undefined {
        const value = this.one(name);
        return value === '' ? undefined : value;
    }

    /** A boolean parameter. @throws ApiError InvalidParameter unless absent, `true` or `false` */
    boolean(name: string): boolean | undefined {
        const value = this.one(name);
        if (value === undefined || value === 'true' || value === 'false') {
            return value === undefined ? undefined : value === 'true';
        }
        throw invalidParameter(`Parameter "${name}" is "${value}"; it takes "true" or "false".`, name);
    }

    /** All parameters, as `node:querystring` gives them. */
    get values(): NodeJS.Dict<string | string[]> {
        return this.#values;
    }
}
