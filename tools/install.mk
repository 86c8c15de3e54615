# install.mk: the shared library, and both installed. Of the Makefile, which includes it.
.PHONY: shared install uninstall
# The version is AIOS_VERSION in src/api.h; the ABI is that of 0
VERSION := $(shell sed -n 's|^.define AIOS_VERSION .*/\* \([0-9.]*\) \*/.*|\1|p' src/api.h)
ifeq ($(shell uname -s),Darwin)
SO      = libaios.dylib
SONAME  = libaios.0.dylib
SOFLAGS = -dynamiclib -install_name $(PREFIX)/lib/$(SONAME)
else
SO      = libaios.so
SONAME  = libaios.so.0
SOFLAGS = -shared -Wl,-soname,$(SONAME)
endif
$(B)/$(SONAME): $(OBJECTS)
	$(CC) $(CFLAGS) $(SOFLAGS) $^ $(LDFLAGS) $(LDLIBS) -o $@
shared: $(B)/$(SONAME)  ## build/libaios.so (.dylib)
	ln -sf $(SONAME) $(B)/$(SO)

to = $(DESTDIR)$(PREFIX)
install: lib shared  ## the headers, both libraries and aios.pc under PREFIX (/usr/local), below DESTDIR
	mkdir -p $(to)/include $(to)/lib/pkgconfig
	install -m 644 $(HEADERS) $(to)/include
	install -m 644 $(B)/libaios.a $(to)/lib
	install -m 755 $(B)/$(SONAME) $(to)/lib
	ln -sf $(SONAME) $(to)/lib/$(SO)
	printf '%s\n' 'prefix=$(PREFIX)' 'Name: aios' 'Description: GGUF language models on the CPU, in memory that you own' \
	    'Version: $(VERSION)' 'Cflags: -I$${prefix}/include' 'Libs: -L$${prefix}/lib -laios' 'Libs.private: -pthread' >$(to)/lib/pkgconfig/aios.pc
uninstall:  ## what install has put there
	rm -f $(HEADERS:%=$(to)/include/%) $(to)/lib/libaios.a $(to)/lib/$(SONAME) $(to)/lib/$(SO) $(to)/lib/pkgconfig/aios.pc
