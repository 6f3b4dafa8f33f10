/** The SSH keys of accounts in the UFDS that others copy from, the only one that takes writes (ufds.md §7). */
import { isUuid } from '../manifest';
import { LdapConnection, nameBelow, type LdapEntry, type LdapOptions } from './ldap';

const ACCOUNTS = 'ou=users, o=smartdc';

export interface AccountKey {
    /** What the account knows it by. */
    readonly name: string;
    /** One line as in `authorized_keys`. */
    readonly publicLine: string;
    /** MD5, in hexadecimal pairs joined by colons. */
    readonly fingerprint: string;
}

export class AccountKeys {
    private constructor(
        private readonly connection: LdapConnection,
        /** Name of the account's entry. */
        private readonly account: string,
    ) {}

    /**
     * Connects, and looks for the account.
     * @throws BadCredentials; or another error if UFDS cannot be asked, or has no such account
     */
    static async open(options: LdapOptions, uuid: string): Promise<AccountKeys> {
        const connection = await LdapConnection.open(options, new AbortController().signal);
        try {
            const { entries } = await connection.search(ACCOUNTS, { objectclass: 'sdcperson' }, ['uuid'], {
                login: uuid,
                uuid,
            });
            const [found = ''] = entries[0]?.get('uuid') ?? [];
            if (!isUuid(found)) {
                throw new Error(`UFDS has no account "${uuid}", which is to get the key.`);
            }
            return new AccountKeys(connection, nameBelow(ACCOUNTS, 'uuid', found));
        } catch (err) {
            connection.close();
            throw err;
        }
    }

    close(): void {
        this.connection.close();
    }

    /** Whether the account has the key, under any name. */
    async has({ fingerprint }: Pick<AccountKey, 'fingerprint'>): Promise<boolean> {
        return (await this.#find({ fingerprint })).length > 0;
    }

    /** Takes keys with this fingerprint from the account; there may be none. */
    async delete({ fingerprint }: Pick<AccountKey, 'fingerprint'>): Promise<void> {
        await this.#delete(await this.#find({ fingerprint }));
    }

    /**
     * Gives the account the key, in the place of another of that name. A key that it has stays as it is, under whatever
     * name. Gives whether anything was changed.
     *
     * @throws Error if UFDS does not do it; done again, it goes on where it stopped
     */
    async put(key: AccountKey): Promise<boolean> {
        const { name, publicLine, fingerprint } = key;
        const found = await this.#find({ name, fingerprint });
        if (found.length === 1 && found[0] && isOf(found[0], key)) {
            return false;
        }
        await this.#delete(found);
        // Whatever is left now was made by somebody else at this moment.
        if ((await this.#find({ name, fingerprint })).length > 0) {
            throw new Error(
                `UFDS has another key with the name "${name}" or the fingerprint ${fingerprint}.`,
            );
        }
        await this.connection.add(nameBelow(this.account, 'fingerprint', fingerprint), {
            objectclass: 'sdckey',
            name,
            openssh: publicLine,
            fingerprint,
        });
        return true;
    }

    async #find(either: Record<string, string>): Promise<LdapEntry[]> {
        const attributes = ['name', 'fingerprint', 'openssh'];
        const { entries } = await this.connection.search(
            this.account,
            { objectclass: 'sdckey' },
            attributes,
            either,
        );
        return entries;
    }

    async #delete(keys: readonly LdapEntry[]): Promise<void> {
        for (const key of keys) {
            const [fingerprint = ''] = key.get('fingerprint') ?? [];
            await this.connection.delete(nameBelow(this.account, 'fingerprint', fingerprint));
        }
    }
}

/** Whether the entry holds this key; its comment does not matter. */
function isOf(entry: LdapEntry, { publicLine, fingerprint }: AccountKey): boolean {
    const blob = (line: string | undefined) => line?.trim().split(' ')[1];
    return (
        entry.get('fingerprint')?.[0] === fingerprint && blob(entry.get('openssh')?.[0]) === blob(publicLine)
    );
}
