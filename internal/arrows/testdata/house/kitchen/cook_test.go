package kitchen

const notCounted = "a test is no part of the structure"
