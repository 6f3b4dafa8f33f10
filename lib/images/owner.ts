import type { AccountDirectory } from '../dc/driver';
import { ApiError } from '../errors';

/**
 * Checks that the account an image is to belong to exists (ufds.md §5). Only a datacenter has accounts: elsewhere any
 * owner will do.
 *
 * @param owner a uuid
 * @throws ApiError OwnerDoesNotExist; ServiceUnavailableError if the directory of accounts cannot say
 */
export async function assertOwnerExists(
    { accounts }: { readonly accounts: AccountDirectory | undefined },
    owner: string,
): Promise<void> {
    if (accounts && !(await accounts.find(owner))) {
        throw new ApiError('OwnerDoesNotExist', `The owner "${owner}" is not an account of this datacenter.`);
    }
}
